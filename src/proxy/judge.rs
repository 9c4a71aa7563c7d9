//! A request until there is a permit for a backend, an answer, or a refusal.

use std::sync::Arc;

use pingora_proxy::Session;

use super::context::Ctx;
use super::cors::{self, Preflight};
use super::facts::Facts;
use super::way::Way;
use super::{Gateway, bridge, decide, redirect};
use crate::policy::Permit;
use crate::problem::Refusal;

impl Gateway {
    /// Own endpoints are answered here; of all others, true means that there is a permit now.
    pub(super) async fn judge(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool, Refusal> {
        let head = session.req_header();
        let facts = Arc::new(decide::read(&head.headers, head.version, ctx, &self.shared)?);
        ctx.facts = Some(Arc::clone(&facts));
        let permit = match Way::of(&head.headers, &facts, ctx) {
            Way::Route(Preflight::Ordinary) => Some(decide::decide(&head.headers, &facts, ctx, &self.shared).await?),
            // In a box: their state would make every request's greater.
            other @ (Way::ToHttps | Way::Own | Way::Route(_)) => Box::pin(self.otherwise(other, session, &facts, ctx)).await?,
        };
        let Some(permit) = permit else { return Ok(false) };
        ctx.assertion = ctx.live.assertion(&permit)?;
        ctx.permit = Some(permit);
        Ok(true)
    }

    /// The ways that few requests go: answered here, but for a preflight that is a backend's business. An answer that can't be
    /// written ends the connection by itself.
    async fn otherwise(&self, way: Way, session: &mut Session, facts: &Facts, ctx: &mut Ctx) -> Result<Option<Permit>, Refusal> {
        let _ = match way {
            Way::ToHttps => redirect::to_https(session, facts, ctx).await,
            Way::Own => {
                let response = bridge::ask(session, facts, ctx, &self.shared).await?;
                let asked = cors::asked_method(&facts.method, &session.req_header().headers);
                let methods = asked.and_then(|asked| cors::endpoint_methods(&asked, &response));
                match (methods, ctx.cors.clone()) {
                    (Some(methods), Some(cors)) => cors::answer(session, ctx, &cors, &methods).await,
                    _ => bridge::answer(session, ctx, response).await,
                }
            }
            Way::Route(Preflight::Answered(matched, cors, methods)) => {
                ctx.matched(&matched.route);
                cors::answer(session, ctx, &cors, &methods).await
            }
            Way::Route(Preflight::Passed(matched)) => {
                return decide::pass(&session.req_header().headers, &matched, ctx, &self.shared).await.map(Some);
            }
            // Decided where it is known to be one.
            Way::Route(Preflight::Ordinary) => return Err(Refusal::NoRoute),
        };
        Ok(None)
    }
}
