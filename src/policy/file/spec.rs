//! From a raw route to a [`RouteSpec`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use http::Method;

use super::raw::{Common, Defaults, Oddity, Own, Route};
use super::rules;
use crate::config::cors::{self, CorsWish};
use crate::config::load::Draft;
use crate::config::report::{Finding, Report, Span};
use crate::config::schema::{At, did_you_mean};
use crate::config::{Backend, backends, roles};
use crate::domain::{CanonicalPath, CredentialKind, CredentialKinds, Scope};
use crate::policy::{
    AllowInPath, AuthMode, Case, Condition, ConditionValue, HostPattern, Pattern, PatternError, Place, RouteCors, RouteSpec,
};

/// The routes so far.
#[derive(Default)]
pub(super) struct Specs {
    good: Vec<RouteSpec>,
    names: BTreeMap<String, Span>,
    /// The backends that URLs stand for: routes with the same URL share one.
    inline: HashMap<String, Arc<Backend>>,
}

impl Specs {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names of all, of those with errors too.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        self.names.keys().map(String::as_str).collect()
    }

    /// All of them.
    pub(super) fn done(self) -> Vec<RouteSpec> {
        self.good
    }

    /// Checks a route; where it has errors they are filed and it is left out.
    pub(super) fn add(&mut self, route: &Route, defaults: &Defaults, draft: &mut Draft) {
        let before = draft.report.failures();
        let common = route.with(defaults, &mut draft.report);
        let own = &route.own;
        if let Some(name) = &own.name.value.0 {
            check_name(name, own.name.span, &mut draft.report);
            if let Some(first) = self.names.insert(name.clone(), own.name.span) {
                let finding = Finding::new(format!("two routes are named `{name}`")).also(first, "the first one");
                draft.report.error(own.name.span, finding.help("give each a name of its own"));
            }
        }
        let place = place(route.table.span, &draft.report);
        let spec = spec(own, &common, place, draft, &mut self.inline);
        if draft.report.failures() == before {
            self.good.extend(spec);
        }
    }
}

fn check_name(name: &str, span: Span, report: &mut Report) {
    if !(1..=100).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        let finding = Finding::new("a route's name is 1 to 100 characters");
        report.error(span, finding.help("it stands in logs and metrics: letters, digits and `-` read best"));
    }
}

fn place(span: Span, report: &Report) -> Place {
    let (line, column) = report.position(span);
    Place { file: report.name_of(span), line, column }
}

fn spec(
    own: &Own,
    common: &Common,
    place: Place,
    draft: &mut Draft,
    inline: &mut HashMap<String, Arc<Backend>>,
) -> Option<RouteSpec> {
    let allow_in_path =
        common.allow_in_path.value.iter().fold(AllowInPath::default(), |all, At { value: Oddity(one), .. }| all.with(*one));
    let hosts = rules::hosts(&common.hosts, &mut draft.report);
    let methods = own.methods.value.as_ref().map(|methods| rules::methods(&methods.0, own.methods.span, &mut draft.report));
    let backend = backend(own, common, draft, inline);
    let identity =
        common.identity.value.as_ref().map_or_else(|| Arc::clone(&draft.config.identity.headers), |wish| Arc::clone(&wish.0));
    rules::kept_headers(&common.identity, &draft.config, &mut draft.report);
    credentials_asked(common, &mut draft.report);
    asked_scopes(common, draft);
    for role in &common.roles.value {
        if draft.whole {
            roles::refuse_unknown_role(&draft.config.roles, &role.value, role.span, &mut draft.report);
        }
    }
    let request_headers = rules::request_headers(&common.request_headers.value, &identity, &draft.config, &mut draft.report);
    let response_headers = rules::response_headers(&common.response_headers.value, &mut draft.report);
    let host = rules::host(&common.host, &mut draft.report);
    let path = path(own, common, &hosts, allow_in_path, draft)?;
    Some(RouteSpec {
        name: own.name.value.0.as_deref()?.into(),
        place,
        hosts,
        path,
        methods,
        backend,
        auth: common.auth.value,
        credentials: kinds(&common.credentials.value),
        scopes: common.scopes.value.iter().map(|scope| scope.value.clone()).collect(),
        any_scopes: common.any_scopes.value.iter().map(|scope| scope.value.clone()).collect(),
        roles: common.roles.value.iter().map(|role| role.value.clone()).collect(),
        conditions: conditions(common),
        trailing_slash: common.trailing_slash.value,
        case: common.case.value,
        allow_in_path,
        strip_prefix: canonical(&common.strip_prefix.value),
        add_prefix: common.add_prefix.value.strip_suffix('/').unwrap_or(&common.add_prefix.value).to_owned(),
        host: host?,
        request_headers,
        response_headers,
        identity,
        forward_credential: common.forward_credential.value.unwrap_or(draft.config.identity.forward_credential),
        timeout: common.timeout.value.map(|wait| wait.0),
        max_body: common.max_body.value.map(|size| size.0),
        stream_expiry: common.stream_expiry.value,
        enforce: enforce(common, &mut draft.report),
        rate_limit: common.rate_limit.value,
        cors: cors(common, draft),
    })
}

fn backend(own: &Own, common: &Common, draft: &mut Draft, inline: &mut HashMap<String, Arc<Backend>>) -> Option<Arc<Backend>> {
    let At { value: Some(name), span, .. } = &common.backend else {
        let finding = Finding::new("a route without `backend` leads nowhere: only `/auth/verify` uses it");
        draft
            .report
            .warning(own.name.span, finding.help("add backend = \"http://127.0.0.1:9000\", or the name of a [[backends]] entry"));
        return None;
    };
    if name.contains("://") {
        // Read each time, as what is wrong with it is told at each place.
        let made = backends::inline(name, *span, &mut draft.report)?;
        return Some(Arc::clone(inline.entry(name.clone()).or_insert_with(|| Arc::new(made))));
    }
    if let Some(backend) = draft.config.backends.get(name) {
        return Some(Arc::clone(backend));
    }
    if draft.whole {
        let names: Vec<_> = draft.config.backends.keys().map(String::as_str).collect();
        let finding = Finding::new(format!("there is no backend `{name}`"));
        let help = match names.as_slice() {
            [] => "add a [[backends]] entry of that name to gateway.toml, or write a URL: \"http://127.0.0.1:9000\"".to_owned(),
            names => did_you_mean(name, names),
        };
        draft.report.error(*span, finding.help(help));
    }
    None
}

/// What is asked of callers whom nobody looks at.
fn credentials_asked(common: &Common, report: &mut Report) {
    if common.credentials.value.is_empty()
        && common.credentials.set
        && !report.may_hide(common.credentials.span, &["credentials"])
    {
        let finding = Finding::new("`credentials` lists no kind: nobody could call this route");
        report.error(common.credentials.span, finding.help("write [\"bearer\", \"api_key\", \"session\"], or auth = \"none\""));
    }
    if common.auth.value != AuthMode::None {
        return;
    }
    let asked = [
        ("scopes", common.scopes.span, common.scopes.value.is_empty()),
        ("any_scopes", common.any_scopes.span, common.any_scopes.value.is_empty()),
        ("roles", common.roles.span, common.roles.value.is_empty()),
        ("where", common.conditions.span, common.conditions.value.0.is_empty()),
    ];
    for (key, span, empty) in asked {
        if !empty {
            let finding = Finding::new(format!("`{key}` asks something of callers whom `auth = \"none\"` does not look at"));
            report.error(
                span,
                finding.help(format!("write auth = \"required\", or leave `{key}` out")).also(common.auth.span, "here"),
            );
        }
    }
}

fn asked_scopes(common: &Common, draft: &mut Draft) {
    let declared = &draft.config.scopes;
    if declared.is_empty() || !draft.whole {
        return;
    }
    for At { value: scope, span, .. } in common.scopes.value.iter().chain(&common.any_scopes.value) {
        let own = [Scope::ACCOUNT, Scope::ADMIN].contains(&scope.as_str());
        if !own && !scope.is_all() && !declared.contains_key(scope) {
            let names: Vec<_> = declared.keys().map(Scope::as_str).collect();
            let finding = Finding::new(format!("the scope `{scope}` is not declared in [scopes]"));
            draft.report.warning(*span, finding.help(did_you_mean(scope.as_str(), &names)));
        }
    }
}

/// What is observed only is easily forgotten.
fn enforce(common: &Common, report: &mut Report) -> bool {
    if !common.enforce.value {
        let finding = Finding::new("`enforce = false` only observes: calls that would be refused reach the backend");
        report.warning(common.enforce.span, finding.help("see `portcullis_would_deny_total`, then write enforce = true"));
    }
    common.enforce.value
}

fn cors(common: &Common, draft: &mut Draft) -> RouteCors {
    let rules = match &common.cors.value {
        Some(CorsWish::Backend) => return RouteCors::Backend,
        Some(CorsWish::Rules(rules)) => cors::checked(rules, &mut draft.report).map(Arc::new),
        None => draft.config.cors.clone(),
    };
    rules.map_or(RouteCors::None, RouteCors::Rules)
}

fn kinds(listed: &[At<CredentialKind>]) -> CredentialKinds {
    let has = |kind| listed.iter().any(|one| one.value == kind);
    CredentialKinds {
        bearer: has(CredentialKind::Bearer),
        api_key: has(CredentialKind::ApiKey),
        session: has(CredentialKind::Session),
    }
}

fn conditions(common: &Common) -> Vec<Condition> {
    let wheres = common.conditions.value.0.iter();
    wheres.map(|At { value: (subject, value), .. }| Condition { subject: subject.clone(), value: value.clone() }).collect()
}

/// Checks the path and what refers to it; gives it as written.
fn path(own: &Own, common: &Common, hosts: &[HostPattern], allow: AllowInPath, draft: &mut Draft) -> Option<String> {
    let text = own.path.value.0.as_ref()?;
    let report = &mut draft.report;
    let pattern = match Pattern::parse(text, allow) {
        Ok(pattern) => pattern,
        Err(error) => {
            report.error(own.path.span, pattern_finding(text, &error));
            return None;
        }
    };
    for At { value: (_, value), span, .. } in &common.conditions.value.0 {
        if let ConditionValue::Parameter(name) = value
            && !pattern.has_param(name)
        {
            let names: Vec<&str> = parameters(text).collect();
            let finding = Finding::new(format!("the path has no parameter `{{{name}}}`")).also(own.path.span, "the path");
            report.error(*span, finding.help(did_you_mean(name, &names)));
        }
    }
    rules::prefixes(text, common, &pattern, report);
    let folds = common.case.value == Case::Insensitive;
    if let Some(reserved) = rules::reserved(text, folds, hosts, &draft.config) {
        let finding = Finding::new(format!("`{text}` is the gateway's own: it answers `{reserved}` itself"));
        draft.report.error(own.path.span, finding.help("take another path, or move the gateway's own with `auth.prefix`"));
    }
    if common.auth.value == AuthMode::None && hosts.is_empty() && text == "/**" {
        let finding = Finding::new("a public catch-all: everything that no other route matches is open to everybody");
        draft.report.warning(own.path.span, finding.help("name what is public, and let the rest be auth = \"required\""));
    }
    Some(text.clone())
}

fn pattern_finding(text: &str, error: &PatternError) -> Finding {
    let finding = Finding::new(format!("`path` can't be `{text}`: {error}"));
    match error {
        PatternError::NoSlash => finding.help(format!("write \"/{text}\"")),
        PatternError::Star(_) if text.ends_with("/*") => finding.help(format!("write \"{text}*\"")),
        PatternError::Oddity(_, name) => {
            finding.help(format!("write allow_in_path = [\"{name}\"], if the backend takes such paths"))
        }
        PatternError::Literal(..) | PatternError::Brace(_) | PatternError::Name(_) | PatternError::Star(_) => {
            finding.help("a path is literals, `{parameters}` and a final `**`: \"/api/items/{id}/**\"")
        }
        PatternError::Repeated(_) => finding.help("give each parameter a name of its own"),
    }
}

fn parameters(text: &str) -> impl Iterator<Item = &str> {
    text.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// A prefix in its canonical spelling, without a final slash; one that is no path was filed.
pub(super) fn canonical(prefix: &str) -> String {
    let plain = prefix.strip_suffix('/').unwrap_or(prefix);
    CanonicalPath::parse(plain.as_bytes()).map_or_else(|_| plain.to_owned(), |path| path.as_str().to_owned())
}

/// `GET` and its like, for [`rules::methods`].
pub(super) fn method(text: &str) -> Option<Method> {
    Method::from_bytes(text.as_bytes()).ok()
}
