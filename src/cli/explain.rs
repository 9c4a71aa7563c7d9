//! `portcullis explain`: what would become of a request, step by step, and why.

mod json;
mod text;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use serde_json::{Map, Value};

use super::args::{Explain, Format};
use super::check::refused;
use super::manage::{attributes, scopes, words};
use super::output::{put, tell};
use super::{Colors, Exit, Failure, password};
use crate::app::{self, InspectError};
use crate::config::{Config, Environment, Listener};
use crate::credential::peek;
use crate::domain::secret::ExposeSecret as _;
use crate::domain::{CredentialKind, Principal};
use crate::policy::file::{load_untested, usual_scopes};
use crate::policy::target::Authority;
use crate::proxy::explain::{Conclusion, Question};

/// Explains what the arguments ask about.
pub(super) fn explain(args: &Explain, colors: Colors) -> Result<(), Failure> {
    let path = &args.config.config;
    let everything = match load_untested(path, &Environment::of_process()) {
        Ok(everything) => everything,
        Err(report) => {
            match args.format.format {
                Format::Json => put(&format!("{:#}\n", report.to_json()))?,
                Format::Text => tell(&refused(path, &report, colors.err)),
            }
            return Err(Failure { exit: Exit::Wrong, message: String::new() });
        }
    };
    let config = everything.config.clone();
    let supposed = supposed(args, &config)?;
    let question = question(args, &config)?;
    let answer = app::inspect(everything, question.clone(), supposed.clone()).map_err(|error| Failure {
        exit: match error {
            InspectError::Store(_) | InspectError::System(_) => Exit::CouldNot,
            InspectError::Keys(_) | InspectError::Issuers(_) | InspectError::Identity(_) => Exit::Wrong,
        },
        message: error.to_string(),
    })?;
    let told = Told { question, url: shown_url(&args.url, &config), answer, supposed };
    match args.format.format {
        Format::Json => put(&format!("{:#}\n", json::render(&told)))?,
        Format::Text => put(&text::render(&told, colors.out))?,
    }
    match told.answer.explanation.conclusion {
        Conclusion::Own | Conclusion::Redirected(_) | Conclusion::Preflight(_) | Conclusion::Allowed(_) => Ok(()),
        Conclusion::Refused { .. } => Err(Failure { exit: Exit::Wrong, message: String::new() }),
    }
}

/// All that there is to print.
struct Told {
    question: Question,
    /// The URL, without an API key.
    url: String,
    answer: app::Answer,
    supposed: Option<Principal>,
}

impl Told {
    /// Header and claims of the token that was refused or came from outside; a supposed caller has none.
    fn token(&self) -> Option<(Map<String, Value>, Map<String, Value>)> {
        let field = self.question.headers.get(AUTHORIZATION).filter(|_| self.supposed.is_none())?.to_str().ok()?;
        let (scheme, token) = field.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| peek(token.trim())).flatten()
    }
}

fn usage(message: impl Into<String>) -> Failure {
    Failure { exit: Exit::Usage, message: message.into() }
}

/// The URL as it may be printed: an API key in its query is none.
fn shown_url(url: &str, config: &Config) -> String {
    let clean = crate::telemetry::scrub(url).into_owned();
    let (Some(parameter), Some((path, query))) = (&config.api_keys.query_parameter, clean.split_once('?')) else { return clean };
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if name == parameter => format!("{name}=***"),
        _ => pair.to_owned(),
    };
    format!("{path}?{}", query.split('&').map(pair).collect::<Vec<_>>().join("&"))
}

fn question(args: &Explain, config: &Config) -> Result<Question, Failure> {
    let method = Method::from_bytes(args.method.as_bytes())
        .map_err(|_| usage(format!("`{}` is no method; write it as: portcullis explain GET /orders/7", args.method)))?;
    let lower = args.url.to_ascii_lowercase();
    let absolute = lower.starts_with("http://") || lower.starts_with("https://");
    if !absolute && lower.split(['/', '?']).next().is_some_and(|host| host.contains('.')) {
        return Err(usage(format!("`{0}` is neither a URL nor a path; write https://{0}, or begin with a slash", args.url)));
    }
    let listener = args.listener.as_deref().map(|name| listener(name, config)).transpose()?;
    let (mut headers, mut hosts) = (HeaderMap::new(), Vec::new());
    for line in &args.headers {
        let (name, value) =
            line.split_once(':').ok_or_else(|| usage("a header is a name, a colon and a value: --header 'Accept: text/html'"))?;
        let name: HeaderName = name.trim().parse().map_err(|_| usage(format!("`{}` is no header name", name.escape_debug())))?;
        let mut value =
            HeaderValue::from_str(value.trim()).map_err(|_| usage(format!("the value of {name} can't stand in a header")))?;
        value.set_sensitive(true);
        if name == HOST {
            hosts.push(Bytes::copy_from_slice(value.as_bytes()));
        } else {
            headers.append(name, value);
        }
    }
    if let Some(token) = &args.token {
        let token = password::line_or(token, "token")?;
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
            .map_err(|_| usage("the token holds characters that can't stand in a header"))?;
        value.set_sensitive(true);
        headers.append(AUTHORIZATION, value);
    }
    if hosts.is_empty() {
        hosts.extend(host(&args.url).map(Bytes::copy_from_slice));
    }
    Ok(Question {
        method,
        target: Bytes::copy_from_slice(args.url.as_bytes()),
        hosts,
        headers,
        client: args.client,
        tls: listener.map_or_else(|| lower.starts_with("https://"), |listener| listener.tls),
        redirect: listener.is_some_and(|listener| listener.redirect_to_https),
    })
}

/// The `Host` that a client of this URL sends; nothing where it names none that is one.
fn host(url: &str) -> Option<&[u8]> {
    let rest = url.split_once("://").filter(|_| !url.starts_with('/'))?.1;
    let authority = rest.split(['/', '?', '#']).next()?.as_bytes();
    Authority::parse(authority).map(|_| authority)
}

/// The listener at this address of `server.listen`.
fn listener<'a>(name: &str, config: &'a Config) -> Result<&'a Listener, Failure> {
    let all = &config.server.listen;
    all.iter().find(|listener| listener.address.to_string() == name).ok_or_else(|| {
        let names = all.iter().map(|listener| listener.address.to_string()).collect::<Vec<_>>().join(", ");
        usage(format!("there is no listener `{name}`; there are {names}"))
    })
}

/// The caller that the arguments describe, who needs no credential.
fn supposed(args: &Explain, config: &Config) -> Result<Option<Principal>, Failure> {
    let described = args.scopes.is_some()
        || args.roles.is_some()
        || args.subject.is_some()
        || args.username.is_some()
        || args.credential.is_some()
        || !args.attributes.is_empty()
        || !args.claims.is_empty();
    if !described {
        return Ok(None);
    }
    let method = args.credential.map_or(CredentialKind::Bearer, Into::into);
    let roles = args.roles.as_deref().map(words).unwrap_or_default();
    for role in &roles {
        if !config.roles.0.contains_key(role) {
            let names = config.roles.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(usage(format!("there is no role `{role}`; there are {names}")));
        }
    }
    let scopes = match &args.scopes {
        Some(text) => scopes(text)?,
        None => usual_scopes(config, &roles, method),
    };
    Ok(Some(Principal {
        username: args.username.clone(),
        roles,
        scopes,
        attributes: attributes(&args.attributes)?,
        claims: attributes(&args.claims)?,
        ..Principal::own(args.subject.as_deref().unwrap_or_default(), method)
    }))
}
