//! From a raw `[[test]]` to a [`PolicyTest`], and what is told of one that fails.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::Method;

use super::raw_test::{Caller, Someone, Test};
use crate::config::load::Draft;
use crate::config::report::{Finding, Report};
use crate::config::schema::{At, did_you_mean};
use crate::config::wrapped::Required;
use crate::config::{Config, roles};
use crate::domain::{CredentialKind, Principal, Scope, ScopeSet};
use crate::policy::policy_test::{Mismatch, Outcome, Spans};
use crate::policy::{Place, PolicyTest, RouteTable, Ruling};

/// Checks a test. `names` are those of all routes.
pub(super) fn checked(test: &At<Test>, names: &BTreeSet<&str>, draft: &mut Draft) -> Option<PolicyTest> {
    let At { value: test, .. } = test;
    let request = request(&test.request, &mut draft.report);
    let caller = match &test.caller.value {
        None | Some(Caller::Anonymous) => None,
        Some(Caller::Someone(someone)) => Some(principal(someone, draft)),
    };
    if let Some(name) = &test.route.value
        && !names.contains(name.as_str())
        && !draft.report.may_hide(test.route.span, &["name", "route"])
    {
        let finding = Finding::new(format!("there is no route `{name}`"));
        draft.report.error(test.route.span, finding.help(did_you_mean(name, &names.iter().copied().collect::<Vec<_>>())));
    }
    let (line, column) = draft.report.position(test.request.span);
    let (method, url) = request?;
    Some(PolicyTest {
        name: test.name.value.clone(),
        place: Place { file: draft.report.name_of(test.request.span), line, column },
        method,
        url,
        caller,
        expect: test.expect.value.0?,
        route: test.route.value.as_deref().map(Arc::from),
        spans: Spans { request: test.request.span, expect: test.expect.span, route: test.route.span },
    })
}

fn request(request: &At<Required<String>>, report: &mut Report) -> Option<(Method, String)> {
    let At { value: Required(Some(text)), span, .. } = request else { return None };
    let span = *span;
    let wrong = |why: String, help: String| Finding::new(format!("`request` is a method and a URL: {why}")).help(help);
    let Some((method, url)) = text.trim().split_once(' ') else {
        let help =
            if text.starts_with('/') || text.contains("://") { format!("write \"GET {text}\"") } else { EXAMPLE.to_owned() };
        report.error(span, wrong(format!("`{text}` is one word"), help));
        return None;
    };
    let Ok(known) = Method::from_bytes(method.as_bytes()) else {
        report.error(span, wrong(format!("`{method}` is no method"), EXAMPLE.to_owned()));
        return None;
    };
    let url = url.trim_start();
    let lower = url.to_ascii_lowercase();
    if !(url.starts_with('/') || lower.starts_with("http://") || lower.starts_with("https://")) {
        let help = if url.contains("://") {
            EXAMPLE.to_owned()
        } else {
            format!("write \"{method} https://{url}\", or a path: \"{method} /{url}\"")
        };
        report.error(span, wrong(format!("`{url}` is neither a URL nor a path"), help));
        return None;
    }
    Some((known, url.to_owned()))
}

const EXAMPLE: &str = "write \"GET https://shop.example.com/orders/7\", or \"GET /orders/7\" for any host";

fn principal(someone: &Someone, draft: &mut Draft) -> Principal {
    for role in &someone.roles.value {
        if draft.whole {
            roles::refuse_unknown_role(&draft.config.roles, &role.value, role.span, &mut draft.report);
        }
    }
    for scope in someone.scopes.value.iter().flatten() {
        warn_of_unknown(scope, draft);
    }
    let method = someone.credential.value;
    if method == CredentialKind::ApiKey && !someone.claims.value.0.is_empty() {
        let finding = Finding::new("API keys have no claims: no request can be like this one");
        draft.report.warning(someone.claims.span, finding.help("write credential = \"bearer\", or attributes = { … }"));
    }
    let roles: Vec<String> = someone.roles.value.iter().map(|role| role.value.clone()).collect();
    let scopes = match &someone.scopes.value {
        Some(scopes) => scopes.iter().map(|scope| scope.value.clone()).collect(),
        None => usual_scopes(&draft.config, &roles, method),
    };
    Principal {
        username: someone.username.value.clone(),
        roles,
        scopes,
        attributes: someone.attributes.value.0.clone(),
        claims: someone.claims.value.0.clone(),
        ..Principal::own(someone.subject.value.clone().unwrap_or_default(), method)
    }
}

/// What a credential holds that was asked for no scopes in particular: all that the roles give, and for a login the gateway's
/// own scopes with it.
#[must_use]
pub fn usual_scopes(config: &Config, roles: &[String], method: CredentialKind) -> ScopeSet {
    match method {
        CredentialKind::ApiKey => config.roles.scopes_of(roles),
        CredentialKind::Bearer | CredentialKind::Session => config.roles.login_scopes(roles),
    }
}

/// A scope that no route could mean is a misspelling; one above declared ones is not.
fn warn_of_unknown(scope: &At<Scope>, draft: &mut Draft) {
    let declared = &draft.config.scopes;
    let At { value: scope, span, .. } = scope;
    let known = scope.is_all()
        || [Scope::ACCOUNT, Scope::ADMIN].contains(&scope.as_str())
        || declared.keys().any(|one| scope.covers(one) || one.covers(scope));
    if !declared.is_empty() && draft.whole && !known {
        let names: Vec<_> = declared.keys().map(Scope::as_str).collect();
        let finding = Finding::new(format!("the scope `{scope}` is not declared in [scopes]"));
        draft.report.warning(*span, finding.help(did_you_mean(scope.as_str(), &names)));
    }
}

/// What is told of a test whose ruling is not what it expects.
pub(crate) fn failure(test: &PolicyTest, ruling: &Ruling, table: &RouteTable, report: &Report) -> Option<Finding> {
    let mismatch = test.mismatch(ruling)?;
    let message = match (&ruling.outcome, mismatch) {
        (Outcome::Own, _) => format!("`{} {}` is the gateway's own: routes do not decide it", test.method, test.url),
        (outcome, Mismatch::Outcome) => {
            format!("policy test failed: expected {}, got {outcome}: {}", test.expect, test.title())
        }
        (outcome, Mismatch::Route) => format!(
            "policy test failed: {outcome} as expected, but by {}, not by `{}`: {}",
            ruling.matched.as_ref().map_or_else(|| "no route".to_owned(), |matched| format!("`{}`", matched.route.name())),
            test.route.as_deref().unwrap_or_default(),
            test.title()
        ),
    };
    let mut help = ruling.reason(test.caller.as_ref());
    if matches!(ruling.outcome, Outcome::Own) {
        "take the test out".clone_into(&mut help);
    } else if mismatch == Mismatch::Route || ruling.matched.is_none() {
        let lost = ruling.target.as_ref().and_then(|target| {
            let survey = table.survey(target.host.as_deref(), &target.path, &test.method);
            let wanted = |name: &str| test.route.as_deref().is_none_or(|route| route == name);
            survey.losers.into_iter().find(|(route, _)| wanted(route.name()))
        });
        if let Some((route, loss)) = lost {
            help = format!("{help}; route `{}` {loss}", route.name());
        }
    }
    let mut finding = Finding::new(message).help(help);
    if let Some(matched) = &ruling.matched {
        let spec = matched.route.spec();
        finding = finding.also(
            report.span_at((&spec.place.file, spec.place.line, spec.place.column)),
            format!("route `{}` decides", spec.name),
        );
    }
    Some(finding)
}

/// What a failure points at.
pub(crate) fn blamed(test: &PolicyTest, ruling: &Ruling) -> crate::config::report::Span {
    match (&ruling.outcome, test.mismatch(ruling)) {
        (Outcome::Own, _) => test.spans.request,
        (_, Some(Mismatch::Route)) => test.spans.route,
        _ => test.spans.expect,
    }
}
