//! Which database the gateways of a test keep their store in: a file of SQLite, or, where `PORTCULLIS_TEST_STORE` is
//! `postgres` or `on_postgres` runs the test, a database of PostgreSQL.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use portcullis::config::Algorithm;
use portcullis::credential::KeyRing;
use portcullis::domain::{Clock as _, SystemClock};

use crate::postgres::Database;

thread_local! {
    /// Gateways are started by the thread that a test begins on.
    static ON_POSTGRES: Cell<bool> = Cell::new(std::env::var_os("PORTCULLIS_TEST_STORE").is_some_and(|name| name == "postgres"));
}

/// Whether this test's gateways are on PostgreSQL.
pub(crate) fn on_postgres() -> bool {
    ON_POSTGRES.get()
}

/// Runs a test with its gateways on PostgreSQL.
pub(crate) fn with_postgres(test: fn()) {
    let before = ON_POSTGRES.replace(true);
    test();
    ON_POSTGRES.set(before);
}

/// A store, shared by gateways that stand beside each other.
#[derive(Clone)]
pub(crate) enum Storage {
    /// At a URL that somebody else cares for; a file in the gateway's folder, mostly.
    At(String),
    /// A database of its own, gone with the last of its gateways.
    Database(Arc<Database>),
}

impl Storage {
    /// The store of a gateway that lives in `home`.
    pub(crate) fn of(home: &Path) -> Self {
        if on_postgres() {
            Self::Database(Arc::new(Database::new()))
        } else {
            Self::At(format!("sqlite://{}/data/portcullis.db", home.display()))
        }
    }

    /// `[store].url`
    pub(crate) fn url(&self) -> &str {
        match self {
            Self::At(url) => url,
            Self::Database(database) => &database.url,
        }
    }

    /// Whether gateways on it need a key that was made before.
    fn is_shared(&self) -> bool {
        self.url().starts_with("postgres")
    }

    /// Nobody gets to it any more, and who was there is thrown out.
    pub(crate) fn take_away(&self, home: &Path) {
        match self {
            Self::At(_) => std::fs::rename(home.join("data"), home.join("away")).expect("moved away"),
            Self::Database(database) => database.shut(),
        }
    }

    /// After [`take_away`](Self::take_away).
    pub(crate) fn bring_back(&self, home: &Path) {
        match self {
            Self::At(_) => std::fs::rename(home.join("away"), home.join("data")).expect("moved back"),
            Self::Database(database) => database.reopen(),
        }
    }

    /// Makes what `init` would have made for the first gateway on it: a signing key for the algorithm of `config`.
    pub(crate) fn make_key(&self, home: &Path, config: &str) {
        let keys = home.join("keys");
        if !self.is_shared() || keys.exists() || config.contains("\"HS256\"") {
            return;
        }
        let named = |name: &str| config.contains(&format!("algorithm = \"{name}\""));
        let algorithm = [("RS256", Algorithm::Rs256), ("EdDSA", Algorithm::EdDsa)]
            .into_iter()
            .find_map(|(name, algorithm)| named(name).then_some(algorithm));
        KeyRing::create(algorithm.unwrap_or(Algorithm::Es256), &keys, SystemClock::default().now()).expect("a key");
    }
}
