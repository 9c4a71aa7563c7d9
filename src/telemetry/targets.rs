//! Which messages may reach the log at all, whatever `RUST_LOG` asks for.
//!
//! Our dependencies log for their own developers: pingora prints whole queries at `ERROR`, h2 and hyper print header
//! fields at `TRACE`, sqlx prints statements. So theirs is an allow list, and our own messages are the only ones that
//! `RUST_LOG` can raise without a bound.

use tracing::level_filters::LevelFilter;

/// One line an event that somebody may have to answer for.
pub(super) const AUDIT: &str = "audit";

/// Foreign modules that say useful things and see no request, with the most that they may say.
const FOREIGN: [(&str, LevelFilter); 4] = [
    ("pingora_core::server", LevelFilter::INFO),
    ("pingora_core::services", LevelFilter::WARN),
    ("pingora_core::listeners", LevelFilter::WARN),
    ("rustls", LevelFilter::ERROR),
];

/// The most that `target` may say.
pub(super) fn cap(target: &str) -> LevelFilter {
    if target == AUDIT || is_within(target, "portcullis") {
        return LevelFilter::TRACE;
    }
    FOREIGN.iter().find(|(module, _)| is_within(target, module)).map_or(LevelFilter::OFF, |(_, most)| *most)
}

/// Whether `target` is `module` or a module below it.
fn is_within(target: &str, module: &str) -> bool {
    target.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_that_see_requests_are_silent_at_every_level() {
        for target in [
            "pingora_proxy",
            "pingora_proxy::proxy_h1",
            "pingora_core::protocols::http::v1::server",
            "pingora_core::apps",
            "h2::codec",
            "hyper::proto",
            "sqlx::query",
            "redis",
            "axum::rejection",
            "pingora_core::serverless",
            "portcullisx",
        ] {
            assert_eq!(cap(target), LevelFilter::OFF, "{target}");
        }
    }

    #[test]
    fn our_own_modules_say_what_is_asked() {
        for target in ["portcullis", "portcullis::proxy::facts", "audit"] {
            assert_eq!(cap(target), LevelFilter::TRACE, "{target}");
        }
    }
}
