//! An issuer that a test plays: a server that answers for its keys as the test wants, and counts how often it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use portcullis::domain::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::forge::{Key, jwks, with};

/// What it answers to whoever asks for its keys.
#[derive(Clone)]
pub(crate) enum Says {
    /// This set.
    Keys(Value),
    /// This text.
    Text(String),
    /// That something is wrong with it.
    Broken,
    /// That the keys are there.
    Elsewhere(String),
    /// A byte now and then, for ever.
    Drips,
    /// The set, but not before this time has passed.
    Late(Value, Duration),
}

struct Played {
    says: Says,
    asked: usize,
    metadata: Value,
}

/// One that runs.
pub(crate) struct Issuer {
    played: Arc<Mutex<Played>>,
    pub(crate) address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl Issuer {
    /// Starts one on a free port.
    pub(crate) async fn start(says: Says) -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address"), says).await
    }

    /// Starts one at an address.
    pub(crate) async fn start_at(address: SocketAddr, says: Says) -> Self {
        let listener = tokio::net::TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let metadata = json!({ "issuer": format!("http://{address}"), "jwks_uri": format!("http://{address}/keys") });
        let played = Arc::new(Mutex::new(Played { says, asked: 0, metadata }));
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&played));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { played, address, server }
    }

    fn played(&self) -> std::sync::MutexGuard<'_, Played> {
        self.played.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it says this.
    pub(crate) fn says(&self, says: Says) {
        self.played().says = says;
    }

    /// From now on it gives these keys.
    pub(crate) fn gives(&self, keys: &[&Key]) {
        self.says(Says::Keys(jwks(keys)));
    }

    /// What its metadata says.
    pub(crate) fn metadata(&self, changes: Value) {
        let mut played = self.played();
        played.metadata = with(&played.metadata, changes);
    }

    /// How often it was asked for keys.
    pub(crate) fn asked(&self) -> usize {
        self.played().asked
    }

    /// Its `iss`.
    pub(crate) fn iss(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where its keys are.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/keys", self.address)
    }

    /// Claims of a token of it that is good now.
    pub(crate) fn claims(&self) -> Value {
        claims(&self.iss())
    }

    /// It is gone.
    pub(crate) fn stop(self) {
        self.server.abort();
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Claims of a token of this issuer that is good now.
pub(crate) fn claims(iss: &str) -> Value {
    let now = SystemClock::default().now().as_secs();
    json!({
        "iss": iss, "sub": "f3a9", "aud": "api", "exp": now + 600, "iat": now, "scope": "items:read", "email": "ann@example.com",
        "tenant": "north", "app_metadata": { "roles": ["editor"] },
    })
}

async fn answer(State(played): State<Arc<Mutex<Played>>>, uri: Uri) -> Response {
    let says = {
        let mut played = played.lock().unwrap_or_else(PoisonError::into_inner);
        if uri.path().starts_with("/.well-known/") {
            return axum::Json(played.metadata.clone()).into_response();
        }
        played.asked += 1;
        played.says.clone()
    };
    match says {
        Says::Keys(set) => axum::Json(set).into_response(),
        Says::Text(text) => text.into_response(),
        Says::Broken => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Says::Elsewhere(place) => (StatusCode::FOUND, [("location", place)]).into_response(),
        Says::Late(set, wait) => {
            tokio::time::sleep(wait).await;
            axum::Json(set).into_response()
        }
        Says::Drips => {
            let drops = futures_util::stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Some((Ok::<_, std::io::Error>(bytes::Bytes::from_static(b" ")), ()))
            });
            Body::from_stream(drops).into_response()
        }
    }
}
