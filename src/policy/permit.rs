//! The one function that lets a request pass, and the proof that it did.

use std::sync::Arc;

use crate::config::Roles;
use crate::domain::{CanonicalPath, Principal, Scope};
use crate::problem::Refusal;

use super::ask::Ask;
use super::method::Methods;
use super::pattern::{Params, Pattern, PatternError};
use super::rewrite::{Rewrite, RewriteError};
use super::route::{AuthMode, ConditionValue, RouteCors, RouteSpec};

/// A route, ready to match and to decide.
#[derive(Debug)]
pub struct Route {
    spec: RouteSpec,
    index: usize,
    pattern: Arc<Pattern>,
    methods: Methods,
    rewrite: Rewrite,
    roles: Arc<Roles>,
    /// `scopes` and `any_scopes`, for challenges.
    asked: Option<String>,
}

/// What is wrong with a route by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Its path.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// Its `strip_prefix`, `add_prefix` or backend's path.
    #[error(transparent)]
    Rewrite(#[from] RewriteError),
    /// A condition that names a parameter that the path does not have.
    #[error("where: the path has no parameter `{{{0}}}`")]
    Parameter(String),
}

impl Route {
    pub(super) fn new(spec: RouteSpec, index: usize, roles: Arc<Roles>) -> Result<Self, RouteError> {
        let pattern = Pattern::parse(&spec.path, spec.allow_in_path)?;
        for condition in &spec.conditions {
            if let ConditionValue::Parameter(name) = &condition.value
                && !pattern.has_param(name)
            {
                return Err(RouteError::Parameter(name.clone()));
            }
        }
        let rewrite = Rewrite::new(&spec, &pattern)?;
        let asked: Vec<&str> = spec.scopes.iter().chain(&spec.any_scopes).map(Scope::as_str).collect();
        let asked = (!asked.is_empty()).then(|| asked.join(" "));
        let methods = Methods::new(spec.methods.as_deref());
        Ok(Self { spec, index, pattern: Arc::new(pattern), methods, rewrite, roles, asked })
    }

    /// It as its file says it.
    #[must_use]
    pub const fn spec(&self) -> &RouteSpec {
        &self.spec
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Its place in [`RouteTable::routes`](super::RouteTable::routes).
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Its path, taken apart.
    #[must_use]
    pub const fn pattern(&self) -> &Arc<Pattern> {
        &self.pattern
    }

    /// What it takes, as `Allow` says it.
    #[must_use]
    pub fn allow(&self) -> String {
        let mut all = std::collections::BTreeSet::new();
        self.methods.list(&mut all);
        all.into_iter().collect::<Vec<_>>().join(", ")
    }

    pub(super) const fn methods(&self) -> &Methods {
        &self.methods
    }

    /// Lets a caller pass, or says why not: scopes, then roles, then `where`.
    ///
    /// `caller` is who was verified on this route, with a credential of a kind that the route looks at.
    /// An anonymous caller meets no condition: where a route asks something, `auth = "optional"` and `"none"` let nobody pass
    /// without a credential either. A `none` route knows no caller, whoever it is.
    pub fn authorize(self: &Arc<Self>, caller: Option<Arc<Principal>>, params: &Params) -> Result<Permit, Refusal> {
        let caller = match self.spec.auth {
            AuthMode::None => None,
            AuthMode::Required | AuthMode::Optional => caller.filter(|caller| self.spec.credentials.contains(caller.method)),
        };
        match &caller {
            Some(caller) => self.judge(caller, params)?,
            None if self.spec.auth == AuthMode::Required || self.asks_something() => {
                return Err(Refusal::MissingCredential(self.asked.clone()));
            }
            None => {}
        }
        self.permit(caller, params)
    }

    /// Lets a call pass that was refused, where the route only observes: as nobody's. What is wrong with the request itself,
    /// and not with who may make it, stays refused.
    pub fn observe(self: &Arc<Self>, refusal: &Refusal, params: &Params) -> Option<Permit> {
        let observed = !self.spec.enforce && refusal.is_about_the_caller();
        observed.then(|| self.permit(None, params).ok()).flatten()
    }

    /// Lets a preflight pass, as nobody's, where CORS is the backend's own business.
    pub fn preflight(self: &Arc<Self>, params: &Params) -> Option<Result<Permit, Refusal>> {
        matches!(self.spec.cors, RouteCors::Backend).then(|| self.permit(None, params))
    }

    /// The only maker of a [`Permit`].
    fn permit(self: &Arc<Self>, principal: Option<Arc<Principal>>, params: &Params) -> Result<Permit, Refusal> {
        let upstream_path = self.rewrite.apply(params.path(), self.spec.allow_in_path)?;
        Ok(Permit { route: Arc::clone(self), principal, upstream_path })
    }

    /// Which of the scopes that are asked `caller` does not hold, as text; of `any_scopes` all, where none is held.
    #[must_use]
    pub fn missing_scopes(&self, caller: &Principal) -> Option<String> {
        let lacks = |scope: &&Scope| !caller.scopes.covers(scope);
        let any = &self.spec.any_scopes;
        let any = if any.iter().all(|scope| lacks(&scope)) { any.as_slice() } else { &[] };
        let missing: Vec<&str> = self.spec.scopes.iter().filter(lacks).chain(any).map(Scope::as_str).collect();
        (!missing.is_empty()).then(|| missing.join(" "))
    }

    fn asks_something(&self) -> bool {
        self.asked.is_some() || !self.spec.roles.is_empty() || !self.spec.conditions.is_empty()
    }

    fn judge(&self, caller: &Principal, params: &Params) -> Result<(), Refusal> {
        match self.asks().find(|ask| !self.meets(*ask, caller, params)) {
            None => Ok(()),
            Some(Ask::Scope(_) | Ask::AnyScope(_)) => Err(Refusal::InsufficientScope(self.asked.clone().unwrap_or_default())),
            Some(Ask::Role(_)) => Err(Refusal::Forbidden("This call needs a role that the caller does not have.")),
            Some(Ask::Where(_)) => Err(Refusal::Forbidden("A condition of this route is not met.")),
        }
    }

    /// What it asks of a caller, in the order in which it is judged: the first that is not met is why a caller is refused.
    pub fn asks(&self) -> impl Iterator<Item = Ask<'_>> {
        let spec = &self.spec;
        let any = (!spec.any_scopes.is_empty()).then_some(Ask::AnyScope(&spec.any_scopes));
        let role = (!spec.roles.is_empty()).then_some(Ask::Role(&spec.roles));
        spec.scopes.iter().map(Ask::Scope).chain(any).chain(role).chain(spec.conditions.iter().map(Ask::Where))
    }

    /// Whether `caller` meets what this route asks.
    #[must_use]
    pub fn meets(&self, ask: Ask<'_>, caller: &Principal, params: &Params) -> bool {
        match ask {
            Ask::Scope(scope) => caller.scopes.covers(scope),
            Ask::AnyScope(scopes) => scopes.iter().any(|scope| caller.scopes.covers(scope)),
            Ask::Role(roles) => roles.iter().any(|role| self.roles.grants(&caller.roles, role)),
            Ask::Where(condition) => condition.holds(caller, params),
        }
    }
}

/// The proof that a route lets a request pass: without one nothing reaches a backend.
#[derive(Clone, Debug)]
pub struct Permit {
    route: Arc<Route>,
    principal: Option<Arc<Principal>>,
    upstream_path: CanonicalPath,
}

impl Permit {
    /// The route that lets it pass.
    #[must_use]
    pub const fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// For whom; nobody where the caller is anonymous or the route looks at no credential.
    #[must_use]
    pub fn principal(&self) -> Option<&Principal> {
        self.principal.as_deref()
    }

    /// The path towards the backend: rewritten, and judged again.
    #[must_use]
    pub fn upstream_path(&self) -> &str {
        self.upstream_path.as_str()
    }
}
