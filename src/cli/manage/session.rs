//! `session …`

use serde_json::{Value, json};

use super::super::args::{Session, SessionRevoke};
use super::super::output::{list, put};
use super::super::{Exit, Failure};
use super::{name_of, with_admin};
use crate::domain::SessionRecord;

pub(super) fn run(command: Session) -> Result<(), Failure> {
    match command {
        Session::List(args) => with_admin(&args.config, async |admin| {
            let mut sessions = Vec::new();
            for session in admin.sessions(args.user.as_deref()).await? {
                let user = name_of(admin, session.user).await?;
                sessions.push(shown(&session, user.as_deref()));
            }
            list(
                args.format.format,
                &sessions,
                &[
                    ("ID", "id"),
                    ("USER", "user"),
                    ("ADDRESS", "address"),
                    ("SINCE", "created_at"),
                    ("LAST USED", "last_used_at"),
                    ("DEVICE", "device"),
                ],
            )
        }),
        Session::Revoke(args) => revoke(&args),
    }
}

fn revoke(args: &SessionRevoke) -> Result<(), Failure> {
    match (&args.id, &args.user) {
        (Some(id), None) => {
            let id = id.parse().map_err(|_| Failure::wrong("that is no session id: `portcullis session list` shows them"))?;
            with_admin(&args.config, async |admin| {
                admin.end_session(id).await?;
                put(&format!("{id} is ended\n"))
            })
        }
        (None, Some(user)) => with_admin(&args.config, async |admin| {
            admin.end_sessions(user).await?;
            put(&format!("all sessions of {user} are ended\n"))
        }),
        // The argument parser lets neither pass.
        _ => Err(Failure { exit: Exit::Usage, message: "give a session's id or --user".to_owned() }),
    }
}

fn shown(session: &SessionRecord, user: Option<&str>) -> Value {
    json!({
        "id": session.id,
        "user": user,
        "user_id": session.user,
        "client_id": session.client_id,
        "scopes": session.granted,
        "device": session.device,
        "address": session.address,
        "created_at": session.created_at.to_string(),
        "last_used_at": session.used_at.to_string(),
        "expires_at": session.expires_at.to_string(),
    })
}
