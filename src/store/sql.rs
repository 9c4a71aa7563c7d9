//! Every statement, in the SQL that SQLite and PostgreSQL share: `$n` parameters, `RETURNING`, `ON CONFLICT`.
//!
//! Locking is not here: a writer on SQLite has the database to itself (`BEGIN IMMEDIATE`).

macro_rules! user_columns {
    () => {
        "u.id, u.username, u.email, u.email_verified, u.full_name, u.roles, u.scopes, u.attributes, u.disabled, u.service, \
         u.generation, u.password, u.created_at"
    };
}

macro_rules! session_columns {
    () => {
        "s.id, s.user_id, s.client_id, s.granted, s.device, s.address, s.created_at, s.used_at, s.expires_at, s.ended_at"
    };
}

// The names differ from a user's columns: a key is read together with its owner.
macro_rules! key_columns {
    () => {
        "k.id AS key_id, k.hash AS key_hash, k.owner AS key_owner, k.name AS key_name, k.scopes AS key_scopes, \
         k.allowed_cidrs AS key_allowed_cidrs, k.rate_limit AS key_rate_limit, k.created_at AS key_created_at, \
         k.expires_at AS key_expires_at, k.used_at AS key_used_at, k.revoked_at AS key_revoked_at"
    };
}

// The schema.
pub(super) const META: &str = "SELECT value FROM meta WHERE name = $1";

// Users.
pub(super) const INSERT_USER: &str = "INSERT INTO users (id, username, email, email_verified, full_name, roles, scopes, \
     attributes, disabled, service, generation, password, created_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING";
pub(super) const UPDATE_USER: &str = "UPDATE users SET email = $2, email_verified = $3, full_name = $4, roles = $5, \
     scopes = $6, attributes = $7, disabled = $8, generation = $9, password = $10 WHERE id = $1";
pub(super) const USER: &str = concat!("SELECT ", user_columns!(), " FROM users u WHERE u.id = $1");
pub(super) const USER_BY_LOGIN: &str =
    concat!("SELECT ", user_columns!(), " FROM login_names n JOIN users u ON u.id = n.user_id WHERE n.name = $1");
pub(super) const USERS: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM login_names n JOIN users u ON u.id = n.user_id WHERE n.kind = 'username' ORDER BY n.name LIMIT $1 OFFSET $2"
);
pub(super) const USERS_LIKE: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM login_names n JOIN users u ON u.id = n.user_id WHERE n.kind = 'username' AND EXISTS \
     (SELECT 1 FROM login_names m WHERE m.user_id = u.id AND m.name LIKE $3 ESCAPE '\\') \
     ORDER BY n.name LIMIT $1 OFFSET $2"
);
pub(super) const COUNT_USERS: &str = "SELECT COUNT(*) FROM users";
pub(super) const COUNT_USERS_LIKE: &str = "SELECT COUNT(*) FROM users u WHERE EXISTS (SELECT 1 FROM login_names m WHERE m.user_id = u.id AND m.name LIKE $1 ESCAPE '\\')";
/// Roles of the others who may log in, where `$2` is somewhere in them.
pub(super) const ROLES_OF_OTHERS: &str =
    "SELECT roles FROM users WHERE id <> $1 AND NOT disabled AND NOT service AND roles LIKE $2 ESCAPE '\\'";
pub(super) const DELETE_USER: &str = "DELETE FROM users WHERE id = $1";
pub(super) const REHASH: &str = "UPDATE users SET password = $3 WHERE id = $1 AND password = $2";
pub(super) const INSERT_LOGIN_NAME: &str =
    "INSERT INTO login_names (name, user_id, kind) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
pub(super) const DELETE_EMAIL_NAME: &str = "DELETE FROM login_names WHERE user_id = $1 AND kind = 'email'";
pub(super) const REMEMBER_NETWORK: &str = "INSERT INTO known_networks (user_id, network, seen_at) VALUES ($1, $2, $3) \
     ON CONFLICT (user_id, network) DO UPDATE SET seen_at = excluded.seen_at WHERE known_networks.seen_at < excluded.seen_at";
pub(super) const KNOWS_NETWORK: &str = "SELECT seen_at FROM known_networks WHERE user_id = $1 AND network = $2 AND seen_at >= $3";

// Sessions.
pub(super) const INSERT_SESSION: &str = "INSERT INTO sessions (id, user_id, client_id, granted, device, address, created_at, \
     used_at, expires_at, ended_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
pub(super) const SESSION: &str = concat!("SELECT ", session_columns!(), " FROM sessions s WHERE s.id = $1");
pub(super) const SESSION_OF_REFRESH: &str = concat!(
    "SELECT ",
    session_columns!(),
    " FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id WHERE t.hash = $1 AND s.ended_at IS NULL"
);
pub(super) const SESSIONS: &str = concat!(
    "SELECT ",
    session_columns!(),
    " FROM sessions s WHERE s.ended_at IS NULL AND s.expires_at > $1 ORDER BY s.created_at DESC, s.id DESC"
);
pub(super) const SESSIONS_OF_USER: &str = concat!(
    "SELECT ",
    session_columns!(),
    " FROM sessions s WHERE s.user_id = $2 AND s.ended_at IS NULL AND s.expires_at > $1 ORDER BY s.created_at DESC, s.id DESC"
);
pub(super) const LIST_SESSIONS: &str = concat!(
    "SELECT ",
    session_columns!(),
    " FROM sessions s WHERE s.ended_at IS NULL AND s.expires_at > $1 ORDER BY s.created_at DESC, s.id DESC LIMIT $2 OFFSET $3"
);
pub(super) const LIST_SESSIONS_OF_USER: &str = concat!(
    "SELECT ",
    session_columns!(),
    " FROM sessions s WHERE s.user_id = $4 AND s.ended_at IS NULL AND s.expires_at > $1 \
     ORDER BY s.created_at DESC, s.id DESC LIMIT $2 OFFSET $3"
);
pub(super) const COUNT_SESSIONS: &str = "SELECT COUNT(*) FROM sessions WHERE ended_at IS NULL AND expires_at > $1";
pub(super) const COUNT_SESSIONS_OF_USER: &str =
    "SELECT COUNT(*) FROM sessions WHERE user_id = $2 AND ended_at IS NULL AND expires_at > $1";
pub(super) const END_SESSION: &str = "UPDATE sessions SET ended_at = COALESCE(ended_at, $2) WHERE id = $1";
/// Ends what is open of a user, but one.
pub(super) const END_SESSIONS: &str =
    "UPDATE sessions SET ended_at = $2 WHERE user_id = $1 AND ended_at IS NULL AND id <> $3 RETURNING id";
pub(super) const EXTEND_SESSION: &str = "UPDATE sessions SET used_at = $2, expires_at = $3 WHERE id = $1 AND ended_at IS NULL";

// Refresh tokens.
pub(super) const INSERT_REFRESH: &str =
    "INSERT INTO refresh_tokens (hash, session_id, parent, expires_at) VALUES ($1, $2, $3, $4)";
pub(super) const REFRESH_EXISTS: &str = "SELECT session_id FROM refresh_tokens WHERE hash = $1";
pub(super) const REFRESH: &str = "SELECT t.session_id, t.parent, t.expires_at, t.used_at, t.sealed_successor, \
     c.hash AS child_hash, c.used_at AS child_used_at \
     FROM refresh_tokens t LEFT JOIN refresh_tokens c ON c.parent = t.hash WHERE t.hash = $1";
/// The compare-and-swap: one caller gets to use a token.
pub(super) const USE_REFRESH: &str =
    "UPDATE refresh_tokens SET used_at = $2, sealed_successor = $3 WHERE hash = $1 AND used_at IS NULL";
pub(super) const ERASE_SEALED: &str = "UPDATE refresh_tokens SET sealed_successor = NULL WHERE hash = $1";
pub(super) const ERASE_SEALED_OF_SESSION: &str =
    "UPDATE refresh_tokens SET sealed_successor = NULL WHERE session_id = $1 AND sealed_successor IS NOT NULL";

// API keys.
pub(super) const INSERT_KEY: &str = "INSERT INTO api_keys (id, hash, owner, name, scopes, allowed_cidrs, created_at, \
     expires_at, used_at, revoked_at, rate_limit) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
pub(super) const KEY: &str =
    concat!("SELECT ", key_columns!(), ", ", user_columns!(), " FROM api_keys k JOIN users u ON u.id = k.owner WHERE k.id = $1");
pub(super) const KEY_BY_HASH: &str = concat!(
    "SELECT ",
    key_columns!(),
    ", ",
    user_columns!(),
    " FROM api_keys k JOIN users u ON u.id = k.owner WHERE k.hash = $1"
);
pub(super) const KEYS: &str = concat!("SELECT ", key_columns!(), " FROM api_keys k ORDER BY k.created_at DESC, k.id DESC");
pub(super) const KEYS_OF_OWNER: &str =
    concat!("SELECT ", key_columns!(), " FROM api_keys k WHERE k.owner = $1 ORDER BY k.created_at DESC, k.id DESC");
pub(super) const LIST_KEYS: &str =
    concat!("SELECT ", key_columns!(), " FROM api_keys k ORDER BY k.created_at DESC, k.id DESC LIMIT $1 OFFSET $2");
pub(super) const LIST_KEYS_OF_OWNER: &str = concat!(
    "SELECT ",
    key_columns!(),
    " FROM api_keys k WHERE k.owner = $3 ORDER BY k.created_at DESC, k.id DESC LIMIT $1 OFFSET $2"
);
pub(super) const COUNT_KEYS: &str = "SELECT COUNT(*) FROM api_keys";
pub(super) const COUNT_KEYS_OF_OWNER: &str = "SELECT COUNT(*) FROM api_keys WHERE owner = $1";
pub(super) const LIVE_KEYS: &str = "SELECT id FROM api_keys WHERE owner = $1 AND revoked_at IS NULL";
pub(super) const REVOKE_KEY: &str = "UPDATE api_keys SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1";
pub(super) const TOUCH_KEY: &str = "UPDATE api_keys SET used_at = $2 WHERE id = $1 AND (used_at IS NULL OR used_at < $2)";

// Clients.
pub(super) const INSERT_CLIENT: &str = "INSERT INTO clients (id, name, folded, secret, grants, scopes, redirect_uris, generation, \
     created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING";
pub(super) const CLIENT: &str =
    "SELECT id, name, secret, grants, scopes, redirect_uris, generation, created_at FROM clients WHERE id = $1";
pub(super) const CLIENTS: &str =
    "SELECT id, name, secret, grants, scopes, redirect_uris, generation, created_at FROM clients ORDER BY folded";
pub(super) const DELETE_CLIENT: &str = "DELETE FROM clients WHERE id = $1";
pub(super) const END_SESSIONS_OF_CLIENT: &str =
    "UPDATE sessions SET ended_at = $2 WHERE client_id = $1 AND ended_at IS NULL RETURNING id";

// What was mailed.
pub(super) const INSERT_MAILED: &str =
    "INSERT INTO mailed_tokens (hash, user_id, purpose, email, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)";
pub(super) const DELETE_MAILED: &str = "DELETE FROM mailed_tokens WHERE user_id = $1 AND purpose = $2";
pub(super) const DELETE_ALL_MAILED: &str = "DELETE FROM mailed_tokens WHERE user_id = $1";
pub(super) const MAILED: &str =
    "SELECT hash, user_id, purpose, email, created_at, expires_at FROM mailed_tokens WHERE hash = $1 AND purpose = $2";
pub(super) const PRUNE_MAILED: &str =
    "DELETE FROM mailed_tokens WHERE hash IN (SELECT hash FROM mailed_tokens WHERE expires_at < $1 LIMIT $2)";

// The log of revocations.
pub(super) const NEXT_SEQ: &str = "UPDATE counters SET value = value + $1 WHERE name = 'revocations' RETURNING value";
pub(super) const LAST_SEQ: &str = "SELECT value FROM counters WHERE name = 'revocations'";
pub(super) const INSERT_REVOCATION: &str =
    "INSERT INTO revocations (seq, kind, id, below, expires_at) VALUES ($1, $2, $3, $4, $5)";
/// Kinds of later releases revoke what this one does not accept; they must not stop a reader's paging.
///
/// As one text: a replica that starts reads millions, and a row costs more than what it says.
pub(super) const REVOCATIONS_AFTER: &str = "SELECT string_agg(format('%s,%s,%s,%s,%s', seq, kind, id, below, expires_at), ';') \
     FROM (SELECT seq, kind, id, below, expires_at FROM revocations \
     WHERE seq > $1 AND kind IN ('token', 'session', 'generation', 'api_key') ORDER BY seq LIMIT $2) AS page";

// Forgetting, a bounded number of rows a statement.
pub(super) const PRUNE_REVOCATIONS: &str =
    "DELETE FROM revocations WHERE seq IN (SELECT seq FROM revocations WHERE expires_at < $1 LIMIT $2)";
pub(super) const PRUNE_SEALED: &str = "UPDATE refresh_tokens SET sealed_successor = NULL WHERE hash IN \
     (SELECT hash FROM refresh_tokens WHERE sealed_successor IS NOT NULL AND used_at <= $1 LIMIT $2)";
pub(super) const PRUNE_ENDED_SESSIONS: &str = "DELETE FROM sessions WHERE id IN \
     (SELECT id FROM sessions WHERE ended_at IS NOT NULL AND ended_at < $1 LIMIT $2)";
pub(super) const PRUNE_EXPIRED_SESSIONS: &str =
    "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < $1 LIMIT $2)";
pub(super) const PRUNE_REFRESH: &str = "DELETE FROM refresh_tokens WHERE hash IN \
     (SELECT hash FROM refresh_tokens WHERE expires_at < $1 LIMIT $2)";
pub(super) const PRUNE_NETWORKS: &str = "DELETE FROM known_networks WHERE (user_id, network) IN \
     (SELECT user_id, network FROM known_networks WHERE seen_at < $1 LIMIT $2)";

// The audit log.
pub(super) const INSERT_EVENT: &str =
    "INSERT INTO audit (at, kind, actor, subject, address, request_id, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)";
pub(super) const EVENTS: &str =
    "SELECT at, kind, actor, subject, address, request_id, detail FROM audit ORDER BY id DESC LIMIT $1 OFFSET $2";
