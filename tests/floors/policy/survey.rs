//! What is told of a decision is what was decided.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::reference::{HOSTS, METHODS, all_targets, any_route, naive};
use super::*;
use portcullis::policy::{Loss, Survey};

/// As many of the candidates as go together.
fn together(candidates: Vec<RouteSpec>) -> Vec<RouteSpec> {
    let mut specs: Vec<RouteSpec> = Vec::new();
    for (i, candidate) in candidates.into_iter().enumerate() {
        specs.push(RouteSpec { name: format!("r{i}").into(), ..candidate });
        if RouteTable::build(specs.clone(), Roles::default()).is_err() {
            specs.pop();
        }
    }
    specs
}

fn name(found: &Found) -> String {
    match found {
        Found::Match(matched) => matched.route.name().to_owned(),
        Found::MethodNotAllowed { allow } => format!("405 {allow}"),
        Found::Ambiguous(oddity) => format!("400 {oddity}"),
        Found::None => "404".to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_route_is_told_to_have_won_or_lost_as_it_did(candidates in prop::collection::vec(any_route(), 1..9)) {
        let specs = together(candidates);
        let table = RouteTable::build(specs.clone(), Roles::default()).expect("no conflict");
        for host in HOSTS {
            for target in all_targets() {
                let canonical = path(&format!("/{}", target.join("/")));
                // Whether each route matches, and whether its path alone does; that is the same for every method.
                let fits: HashMap<&str, (bool, bool)> = specs
                    .iter()
                    .map(|spec| {
                        let any_host = RouteSpec { hosts: Vec::new(), ..spec.clone() };
                        let fit = |spec| naive(spec, host, &target).is_some();
                        (&*spec.name, (fit(spec), fit(&any_host)))
                    })
                    .collect();
                for method in METHODS {
                    let Survey { found, losers } = table.survey(Some(host), &canonical, &method);
                    prop_assert_eq!(name(&found), name(&table.find(Some(host), &canonical, &method)));
                    let winner = match &found {
                        Found::Match(matched) => Some(matched.route.name().to_owned()),
                        Found::MethodNotAllowed { .. } | Found::Ambiguous(_) | Found::None => None,
                    };
                    prop_assert_eq!(losers.len() + usize::from(winner.is_some()), specs.len());
                    for (route, loss) in &losers {
                        prop_assert!(Some(route.name()) != winner.as_deref());
                        let (matches, path_matches) = fits[route.name()];
                        let told = match loss {
                            Loss::Method(_) | Loss::Oddity(_) | Loss::LessSpecific(_) => matches,
                            Loss::Host(_) => !matches && path_matches,
                            Loss::Path(_) | Loss::Both(_) => !path_matches,
                        };
                        prop_assert!(told, "{host} {canonical} {:?}: {loss}", route.spec().path);
                    }
                }
            }
        }
    }

    #[test]
    fn a_caller_passes_exactly_where_all_that_is_told_is_met(
        scopes in prop::collection::vec(prop::sample::select(vec!["a", "a:b", "c"]), 0..3),
        any_scopes in prop::collection::vec(prop::sample::select(vec!["a", "d"]), 0..3),
        asked_roles in prop::collection::vec(prop::sample::select(vec!["user", "viewer", "admin"]), 0..2),
        tenant in prop::option::of(prop::sample::select(vec!["a1", "z"])),
        held in prop::sample::select(vec!["", "a", "a c", "a d", "c", "*"]),
        role in prop::sample::select(vec!["viewer", "user", "admin"]),
    ) {
        let parse = |texts: Vec<&str>| texts.into_iter().map(|text| text.parse().expect("a scope")).collect::<Vec<Scope>>();
        let conditions = tenant.into_iter().map(|tenant| Condition {
            subject: ConditionSubject::Attribute(vec!["tenant".into()]),
            value: ConditionValue::Literal(tenant.into()),
        });
        let route = RouteSpec {
            scopes: parse(scopes),
            any_scopes: parse(any_scopes),
            roles: asked_roles.into_iter().map(Into::into).collect(),
            conditions: conditions.collect(),
            ..spec("a", "/a")
        };
        let table = RouteTable::build(vec![route], roles()).expect("a table");
        let matched = table.find(None, &path("/a"), &Method::GET).into_match().expect("a match");
        let caller = Principal { roles: vec![role.into()], ..principal(held) };
        let checks = matched.checks(Some(&caller));
        let decided = matched.route.authorize(Some(Arc::new(caller)), &matched.params);
        prop_assert_eq!(decided.is_ok(), checks.iter().all(|check| check.met), "{:?}", checks);
        if let Err(refusal) = decided {
            let first = checks.iter().find(|check| !check.met).map(|check| check.kind);
            let by_scope = matches!(refusal, Refusal::InsufficientScope(_));
            prop_assert_eq!(by_scope, matches!(first, Some("scope" | "any_scope")), "{:?}", checks);
        }
    }
}

#[test]
fn losers_say_where_they_were_left() {
    let table = table(vec![
        spec("orders", "/api/orders/{id}"),
        taking(&[Method::POST], spec("orders-write", "/api/orders")),
        on("shop.x", spec("shop", "/api/ordres/{id}")),
        spec("rest", "/api/**"),
    ]);
    let Survey { losers, .. } = table.survey(Some("h.x"), &path("/api/ordres/7"), &Method::GET);
    let told: Vec<String> = losers.iter().map(|(route, loss)| format!("{}: {loss}", route.name())).collect();
    assert_eq!(
        told,
        [
            "shop: is for shop.x only",
            "orders: wants `orders` as segment 2, not `ordres`",
            "orders-write: wants `orders` as segment 2, not `ordres`",
        ]
    );
    let Survey { losers, .. } = table.survey(Some("h.x"), &path("/api/orders/7"), &Method::GET);
    let told = losers.iter().find(|(route, _)| route.name() == "rest").map(|(_, loss)| loss.to_string());
    assert_eq!(told.as_deref(), Some("matches, but `orders` is more specific"));
}
