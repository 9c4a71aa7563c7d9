//! Tokens of other issuers (`[[issuers]]`): each is verified by the keys and the rules of its own issuer only, and proves
//! somebody of that issuer, never a user of ours.

mod fetch;
mod keeper;
mod key_set;
mod kind;
mod mapping;
mod remote;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::{Map, Value};

use super::Accepted;
use super::compact::{self, Token};
use super::judging::{self, Times};
use super::verified::Verified;
use crate::config::{ExternalIssuer, IssuerAlgorithm, IssuerKeys, bare_typ};
use crate::domain::{Clock, Concern};
use crate::problem::Refusal;
use key_set::{Found, KeySet};
use remote::{Missing, Remote};

pub use keeper::Keeper;
pub use key_set::KeySetError;

/// When somebody whose token could not be judged may try again.
const RETRY: Duration = Duration::from_secs(2);

/// All of `[[issuers]]`, ready to verify.
#[derive(Debug)]
pub struct Issuers(Vec<External>);

impl Issuers {
    /// Those of a running gateway: keys that have to be fetched are fetched and kept by `keeper`.
    pub fn kept(all: &[Arc<ExternalIssuer>], leeway: Duration, keeper: &Keeper) -> Result<Self, KeySetError> {
        let clock = Arc::clone(keeper.clock());
        Self::make(all, leeway, &clock, |issuer| Keys::Remote(keeper.remote(issuer)))
    }

    /// Those of a gateway that only answers questions: nothing is fetched.
    pub fn at_hand(all: &[Arc<ExternalIssuer>], leeway: Duration, clock: &Arc<dyn Clock>) -> Result<Self, KeySetError> {
        Self::make(all, leeway, clock, |_| Keys::Elsewhere)
    }

    fn make(
        all: &[Arc<ExternalIssuer>],
        leeway: Duration,
        clock: &Arc<dyn Clock>,
        far: impl Fn(&ExternalIssuer) -> Keys,
    ) -> Result<Self, KeySetError> {
        let one = |rules: &Arc<ExternalIssuer>| {
            let keys = match &rules.keys {
                IssuerKeys::Url(_) | IssuerKeys::Discovery(_) => far(rules),
                IssuerKeys::Secret(secret) => Keys::Here(KeySet::of_secret(secret)),
                IssuerKeys::File { path, text, place } => {
                    let keys = in_file(path, text, place)?;
                    for left_out in &keys.left_out {
                        tracing::warn!("issuer `{}`: of {} is left out: {left_out}", rules.name, path.display());
                    }
                    Keys::Here(keys)
                }
            };
            let times = Times { leeway, max_lifetime: rules.max_lifetime, issued: false };
            Ok(External { rules: Arc::clone(rules), keys, times, clock: Arc::clone(clock) })
        };
        all.iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// Every `jwks_file` that holds no key.
    #[must_use]
    pub fn faults(all: &[Arc<ExternalIssuer>]) -> Vec<KeySetError> {
        let fault = |rules: &Arc<ExternalIssuer>| match &rules.keys {
            IssuerKeys::File { path, text, place } => in_file(path, text, place).err(),
            IssuerKeys::Url(_) | IssuerKeys::Discovery(_) | IssuerKeys::Secret(_) => None,
        };
        all.iter().filter_map(fault).collect()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one whose `iss` this is. Two may share it, one with a secret and one with key pairs: `alg` says which of them then.
    pub(super) fn find(&self, iss: &str, alg: Option<&str>) -> Option<&External> {
        let mut named = self.0.iter().filter(|issuer| issuer.rules.issuer == iss);
        let first = named.next()?;
        Some(std::iter::once(first).chain(named).find(|issuer| issuer.algorithm(alg).is_some()).unwrap_or(first))
    }
}

fn in_file(path: &Path, text: &str, place: &(Arc<str>, u32, u32)) -> Result<KeySet, KeySetError> {
    let fault = |error| KeySetError::File { path: path.to_owned(), error, place: place.clone() };
    KeySet::read(text.as_bytes()).map_err(fault)
}

/// One issuer.
pub(super) struct External {
    rules: Arc<ExternalIssuer>,
    keys: Keys,
    times: Times,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("External").field("name", &self.rules.name).finish_non_exhaustive()
    }
}

/// Where its keys are.
enum Keys {
    /// In the configuration.
    Here(KeySet),
    /// Fetched from it.
    Remote(Arc<Remote>),
    /// To be fetched, by others than us.
    Elsewhere,
}

impl External {
    /// Judges a token that says that this issuer made it. Revocation is still to be asked.
    pub(super) async fn verify(&self, token: &Token<'_>, claims: Map<String, Value>) -> Result<Verified, Refusal> {
        let algorithm = self.judge_header(token).map_err(Refusal::InvalidToken)?;
        kind::is_access_token(token, &claims).map_err(Refusal::InvalidToken)?;
        judging::audience(&claims, &self.rules.audience).map_err(Refusal::InvalidToken)?;
        // Before its key is looked for: an old token whose key is gone asks for no other keys.
        let lifespan = self.times.judge(&claims, self.clock.now()).map_err(Refusal::InvalidToken)?;
        let signed = self.verify_signature(token, algorithm).await?;
        let accepted = Accepted {
            // Nothing of ours can revoke it; that the list of what is revoked can't be had counts all the same.
            concern: Concern { token: None, session: None, account: None, key: None },
            expires_at: Some(lifespan.expires_at),
            rate_limit: None,
            principal: Arc::new(mapping::principal(&self.rules, claims).map_err(Refusal::InvalidToken)?),
        };
        Ok(Verified { accepted, lifespan, signed })
    }

    /// The listed algorithm of this name.
    fn algorithm(&self, alg: Option<&str>) -> Option<IssuerAlgorithm> {
        self.rules.algorithms.iter().copied().find(|one| Some(one.name()) == alg)
    }

    /// The algorithm that the signature has to be of, when it and the type are listed.
    fn judge_header(&self, token: &Token<'_>) -> Result<IssuerAlgorithm, &'static str> {
        let algorithm = self.algorithm(token.alg()).ok_or(compact::NO_SUCH_ALGORITHM)?;
        let typ = match token.typ() {
            Some(typ) => Some(bare_typ(typ)),
            None => (!token.has_typ()).then(String::new),
        };
        if typ.is_some_and(|typ| self.rules.typ.contains(&typ)) {
            Ok(algorithm)
        } else {
            Err("The token is not an access token: its typ is not one that is accepted of its issuer.")
        }
    }

    /// By which of the issuer's keys, where those can change.
    async fn verify_signature(&self, token: &Token<'_>, algorithm: IssuerAlgorithm) -> Result<Option<StillSigned>, Refusal> {
        let kid = token.kid().map_err(Refusal::InvalidToken)?;
        let judge = |keys: &KeySet| match keys.find(kid, algorithm) {
            Found::Key(key) if key.signed(token.message, token.signature, algorithm) => Some(Ok(())),
            Found::Key(_) => Some(Err(Refusal::InvalidToken(compact::BAD_SIGNATURE))),
            Found::OtherAlgorithm => Some(Err(Refusal::InvalidToken(compact::OTHER_ALGORITHM))),
            Found::Unnamed => Some(Err(Refusal::InvalidToken(compact::NO_KID))),
            Found::Unknown => None,
        };
        match &self.keys {
            Keys::Here(keys) => judge(keys).unwrap_or(Err(Refusal::InvalidToken(compact::UNKNOWN_KEY))).map(|()| None),
            Keys::Elsewhere => {
                Err(unavailable("The keys of the token's issuer are not at hand: a running gateway fetches them."))
            }
            Keys::Remote(remote) => {
                let judge = |keys: &Arc<KeySet>| Some(judge(keys)?.map(|()| Some(StillSigned::by(keys, remote))));
                if let Some(judged) = remote.current().and_then(|keys| judge(&keys)) {
                    return judged;
                }
                match remote.refetched(judge).await {
                    Ok(judged) => judged,
                    Err(Missing::Unknown) => Err(Refusal::InvalidToken(compact::UNKNOWN_KEY)),
                    Err(Missing::Unreachable) => Err(unavailable("The keys of the token's issuer can't be fetched right now.")),
                }
            }
        }
    }
}

/// That an issuer's keys are still those by which a token was verified.
#[derive(Clone)]
pub(super) struct StillSigned {
    keys: Arc<KeySet>,
    remote: Weak<Remote>,
}

impl StillSigned {
    fn by(keys: &Arc<KeySet>, remote: &Arc<Remote>) -> Self {
        Self { keys: Arc::clone(keys), remote: Arc::downgrade(remote) }
    }

    /// Whether they are.
    pub(super) fn holds(&self) -> bool {
        self.remote.upgrade().is_some_and(|remote| remote.has(&self.keys))
    }
}

const fn unavailable(detail: &'static str) -> Refusal {
    Refusal::Unavailable { detail, retry_after: RETRY }
}
