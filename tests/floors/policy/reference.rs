//! The table against a matcher that tries every route.

use super::*;

use proptest::prelude::*;

/// The most specific way in which a route matches, by trying: greater is more specific.
pub(super) fn naive(route: &RouteSpec, host: &str, segments: &[&str]) -> Option<(usize, Vec<u8>)> {
    let host_rank = if route.hosts.is_empty() {
        Some(0)
    } else {
        route
            .hosts
            .iter()
            .filter_map(|pattern| match pattern {
                HostPattern::Exact(own) => (own == host).then_some(usize::MAX),
                HostPattern::Wildcard(suffix) => {
                    (host.len() > suffix.len() && host.ends_with(suffix.as_str())).then_some(suffix.len())
                }
            })
            .max()
    }?;
    let written: Vec<&str> = route.path.split('/').skip(1).collect();
    let mut forms = vec![written.clone()];
    if route.trailing_slash == TrailingSlash::Either {
        match written.as_slice() {
            [.., "**"] => {}
            [before @ .., last, ""] if !last.starts_with('{') => forms.push([before, &[last]].concat()),
            [.., last] if !last.is_empty() && !last.starts_with('{') => forms.push([&written[..], &[""]].concat()),
            _ => {}
        }
    }
    forms.iter().filter_map(|form| naive_path(form, segments, route.case)).max().map(|rank| (host_rank, rank))
}

fn naive_path(form: &[&str], segments: &[&str], case: Case) -> Option<Vec<u8>> {
    let mut rank = Vec::new();
    let mut rest = segments.iter();
    for part in form {
        if *part == "**" {
            rank.push(1);
            return Some(rank);
        }
        let segment = *rest.next()?;
        if part.starts_with('{') {
            rank.push(2);
            if segment.is_empty() {
                return None;
            }
        } else {
            rank.push(3);
            if !(segment == *part || case == Case::Insensitive && segment.eq_ignore_ascii_case(part)) {
                return None;
            }
        }
    }
    rank.push(2);
    rest.next().is_none().then_some(rank)
}

fn takes(route: &RouteSpec, method: &Method) -> bool {
    route
        .methods
        .as_ref()
        .is_none_or(|methods| methods.contains(method) || method == Method::HEAD && methods.contains(&Method::GET))
}

/// All most specific routes, and those of them that take the method.
fn winners<'s>(
    specs: &'s [RouteSpec],
    host: &str,
    segments: &[&str],
    method: &Method,
) -> (Vec<&'s RouteSpec>, Vec<&'s RouteSpec>) {
    let ranked: Vec<_> = specs.iter().filter_map(|spec| naive(spec, host, segments).map(|rank| (rank, spec))).collect();
    let best = ranked.iter().map(|(rank, _)| rank.clone()).max();
    let all: Vec<_> = ranked.into_iter().filter(|(rank, _)| Some(rank) == best.as_ref()).map(|(_, spec)| spec).collect();
    let taking = all.iter().copied().filter(|spec| takes(spec, method)).collect();
    (all, taking)
}

pub(super) fn any_route() -> impl Strategy<Value = RouteSpec> {
    let segment = || prop::sample::select(vec!["a", "a", "A", "b", "{}"]);
    let parts = (prop::collection::vec(segment(), 0..4), prop::sample::select(vec!["", "", "**", "/"]));
    let hosts = prop::sample::select(vec![vec![], vec![], vec!["h.x"], vec!["*.x"], vec!["*.h.x"], vec!["h.x", "*.h.x"]]);
    let methods =
        prop::sample::select(vec![None, Some(vec![Method::GET]), Some(vec![Method::PUT]), Some(vec![Method::HEAD, Method::PUT])]);
    (parts, hosts, methods, any::<bool>(), any::<bool>()).prop_map(|((parts, end), hosts, methods, fold, either)| {
        let mut path = String::new();
        for (i, part) in parts.iter().enumerate() {
            path.extend(["/", &part.replace("{}", &format!("{{p{i}}}"))]);
        }
        path.push_str(match end {
            "**" => "/**",
            "/" => "/",
            _ if path.is_empty() => "/",
            _ => "",
        });
        RouteSpec {
            hosts: hosts.iter().flat_map(|host| on(host, spec("", "/")).hosts).collect(),
            methods,
            case: if fold { Case::Insensitive } else { Case::Sensitive },
            trailing_slash: if either { TrailingSlash::Either } else { TrailingSlash::Exact },
            allow_in_path: AllowInPath(31),
            ..spec("", &path)
        }
    })
}

pub(super) const HOSTS: [&str; 5] = ["h.x", "i.x", "j.h.x", "x", "other"];
pub(super) const METHODS: [Method; 4] = [Method::GET, Method::HEAD, Method::PUT, Method::PATCH];

/// Every path of up to four of these segments.
pub(super) fn all_targets() -> Vec<Vec<&'static str>> {
    let mut all: Vec<Vec<&str>> = Vec::new();
    let mut layer: Vec<Vec<&str>> = vec![vec![]];
    for _ in 0..4 {
        layer = layer.iter().flat_map(|path| ["a", "A", "b", "B", ""].map(|part| [&path[..], &[part]].concat())).collect();
        all.extend(layer.iter().cloned());
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_table_finds_what_trying_every_route_finds(candidates in prop::collection::vec(any_route(), 1..9)) {
        let targets = all_targets();
        let mut specs: Vec<RouteSpec> = Vec::new();
        for (i, candidate) in candidates.into_iter().enumerate() {
            let mut more = specs.clone();
            more.push(RouteSpec { name: format!("r{i}").into(), ..candidate });
            if RouteTable::build(more.clone(), Roles::default()).is_ok() {
                specs = more;
                continue;
            }
            // A refused table really has a request that two routes take equally well.
            let new = more.last().expect("the candidate");
            let ties_with = |old: &RouteSpec, host: &str, target: &[&str]| {
                let rank = naive(old, host, target);
                rank.is_some()
                    && rank == naive(new, host, target)
                    && METHODS.iter().any(|method| takes(old, method) && takes(new, method))
            };
            let tie = specs.iter().any(|old| HOSTS.iter().any(|host| targets.iter().any(|target| ties_with(old, host, target))));
            prop_assert!(tie, "no tie: {more:#?}");
        }
        let table = RouteTable::build(specs.clone(), Roles::default()).expect("no conflict");
        for host in HOSTS {
            for target in &targets {
                let text = format!("/{}", target.join("/"));
                let canonical = path(&text);
                for method in &METHODS {
                    let (all, taking) = winners(&specs, host, target, method);
                    prop_assert!(taking.len() <= 1, "a tie was let in: {host}{text} {taking:#?}");
                    match table.find(Some(host), &canonical, method) {
                        Found::Match(matched) => {
                            prop_assert_eq!(taking.first().map(|spec| &*spec.name), Some(matched.route.name()), "{} {}", host, text);
                        }
                        Found::MethodNotAllowed { .. } => prop_assert!(taking.is_empty() && !all.is_empty(), "{method} {host}{text}"),
                        Found::None => prop_assert!(all.is_empty(), "{host}{text} {all:#?}"),
                        // No route at all, on a path with an empty segment.
                        Found::Ambiguous(_) => prop_assert!(all.is_empty() && text.contains("//"), "{host}{text}"),
                    }
                }
            }
        }
    }
}
