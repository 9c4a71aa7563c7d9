//! Floor 0: the words of the trade as types. No IO, no async, no configuration.

pub mod clock;
pub mod entropy;
pub mod identity;
pub mod ids;
pub mod name;
pub mod oddity;
pub mod opaque;
pub mod path;
pub mod principal;
pub mod rate;
pub mod records;
pub mod refresh;
pub mod revoked;
pub mod scope;
pub mod secret;
pub mod template;

pub use clock::{Clock, SystemClock, Timestamp};
pub use entropy::{DrawnAhead, Entropy, SystemEntropy};
pub use identity::IdentityTable;
pub use ids::{ClientId, KeyId, SessionId, TokenId, UserId};
pub use name::folded;
pub use oddity::AllowInPath;
pub use opaque::MailSecret;
pub use path::{CanonicalPath, PathFault};
pub use principal::{CredentialKind, CredentialKinds, Headers, Issuer, Principal, Rendered};
pub use rate::{Rate, RateError};
pub use records::{
    ApiKeyRecord, AuditEvent, AuditKind, ClientRecord, Grant, LOGIN_CLIENT, MailPurpose, MailedToken, SessionRecord, User,
};
pub use revoked::{Concern, Entry, Revoked};
pub use scope::{Scope, ScopeError, ScopeSet};
pub use secret::{Hash256, SecretString};
pub use template::{Template, TemplateError};
