//! A listener that only sends to HTTPS: every request that is one gets 308, which keeps method and body (RFC 9110 §15.4.9).

use http::header::{CACHE_CONTROL, HeaderValue, LOCATION};
use http::{StatusCode, Uri};
use pingora_error::Result;
use pingora_proxy::Session;

use super::context::Ctx;
use super::facts::Facts;
use super::refuse::answer;
use super::target::{Authority, Target};
use crate::problem::Answer;

/// Answers with where the same is to be had over HTTPS.
pub(crate) async fn to_https(session: &mut Session, facts: &Facts, ctx: &mut Ctx) -> Result<()> {
    ctx.decision = "redirect";
    match elsewhere(facts, &ctx.live.config.server.public_url) {
        Some(found) => answer(session, ctx, found).await,
        // A checked host, path and query always are a header value.
        None => super::refuse::malformed(session, ctx).await,
    }
}

/// The answer that says where.
pub(crate) fn elsewhere(facts: &Facts, public_url: &str) -> Option<Answer> {
    let location = HeaderValue::try_from(location(&facts.target, public_url)).ok()?;
    let headers = vec![(LOCATION, location), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Some(Answer { status: StatusCode::PERMANENT_REDIRECT, headers, body: Vec::new() })
}

/// The host that was asked for, at the port of `public_url` where it is that host; `public_url` where none was.
fn location(target: &Target, public_url: &str) -> String {
    let public = public_url.parse::<Uri>().ok().filter(|url| url.scheme_str() == Some("https"));
    let public = public.and_then(|url| Authority::parse(url.authority()?.as_str().as_bytes()));
    let host = target.host.clone().map(|host| Authority { host, port: None });
    let authority = match (host, public) {
        (Some(host), Some(public)) if host.host == public.host => public,
        (Some(host), _) => host,
        (None, Some(public)) => public,
        // Nobody said which, and there is no HTTPS that is known of: the name in `public_url` is as good as any.
        (None, None) => {
            let named = public_url.parse::<Uri>().ok().and_then(|url| url.host().map(str::to_owned));
            Authority { host: named.unwrap_or_default(), port: None }
        }
    };
    let query = target.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
    format!("https://{authority}{}{query}", target.path.as_str())
}

#[cfg(test)]
mod tests {
    use http::Version;

    use super::*;

    fn to(target: &str, host: Option<&str>, public_url: &str) -> String {
        let hosts: Vec<&[u8]> = host.iter().map(|host| host.as_bytes()).collect();
        let version = if host.is_some() { Version::HTTP_11 } else { Version::HTTP_10 };
        location(&Target::read(target.as_bytes(), &hosts, version).expect("a target"), public_url)
    }

    #[test]
    fn it_leads_to_the_same_host_and_what_was_judged() {
        assert_eq!(to("/a?b=%2F", Some("Shop.Example:80"), "https://auth.example"), "https://shop.example/a?b=%2F");
        assert_eq!(to("/%61", Some("shop.example"), "https://auth.example"), "https://shop.example/a");
        assert_eq!(to("/", Some("[::1]:80"), "https://auth.example"), "https://[::1]/");
    }

    #[test]
    fn the_port_of_public_url_counts_for_its_own_host() {
        assert_eq!(to("/", Some("auth.example:8080"), "https://auth.example:8443"), "https://auth.example:8443/");
        assert_eq!(to("/", Some("other.example:8080"), "https://auth.example:8443"), "https://other.example/");
    }

    #[test]
    fn without_a_host_it_is_that_of_public_url() {
        assert_eq!(to("//evil.example/", None, "https://auth.example:8443"), "https://auth.example:8443//evil.example/");
        assert_eq!(to("/x", None, "http://auth.example:8080"), "https://auth.example/x");
    }
}
