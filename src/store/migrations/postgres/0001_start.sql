-- Text that is compared or ordered is COLLATE "C": by its bytes, as on SQLite, whatever the database's locale.
-- Times are milliseconds since the Unix epoch; ids are text; lists and attributes are JSON; scopes are separated by spaces.

-- What a release has to know before it reads anything else.
CREATE TABLE meta (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO meta (name, value) VALUES ('schema_version', 1), ('min_compatible', 1);

-- The numbers of the log. Taking one locks its row until the commit, so numbers follow commit order.
CREATE TABLE counters (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('revocations', 0);

CREATE TABLE users (
    id             TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    username       TEXT    NOT NULL,
    email          TEXT,
    email_verified BOOLEAN NOT NULL,
    full_name      TEXT,
    roles          TEXT    NOT NULL,
    scopes         TEXT    NOT NULL,
    attributes     TEXT    NOT NULL,
    disabled       BOOLEAN NOT NULL,
    service        BOOLEAN NOT NULL,
    generation     BIGINT  NOT NULL,
    password       TEXT,
    created_at     BIGINT  NOT NULL
);

-- Usernames and e-mail addresses: one namespace, folded.
CREATE TABLE login_names (
    name    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind    TEXT COLLATE "C" NOT NULL CHECK (kind IN ('username', 'email'))
);
CREATE UNIQUE INDEX login_names_user ON login_names (user_id, kind);

-- Address prefixes that somebody logged in from.
CREATE TABLE known_networks (
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    network TEXT COLLATE "C" NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, network)
);
CREATE INDEX known_networks_seen ON known_networks (seen_at);

CREATE TABLE sessions (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id  TEXT COLLATE "C" NOT NULL,
    granted    TEXT,
    device     TEXT   NOT NULL,
    address    TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at   BIGINT
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_created ON sessions (created_at);
CREATE INDEX sessions_expires ON sessions (expires_at);
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE refresh_tokens (
    hash             BYTEA  NOT NULL PRIMARY KEY,
    session_id       TEXT COLLATE "C" NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    parent           BYTEA,
    expires_at       BIGINT NOT NULL,
    used_at          BIGINT,
    sealed_successor BYTEA
);
CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);
-- A token has one successor, whatever races.
CREATE UNIQUE INDEX refresh_tokens_parent ON refresh_tokens (parent);
CREATE INDEX refresh_tokens_expires ON refresh_tokens (expires_at);
CREATE INDEX refresh_tokens_sealed ON refresh_tokens (used_at) WHERE sealed_successor IS NOT NULL;

CREATE TABLE api_keys (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    hash          BYTEA  NOT NULL,
    owner         TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name          TEXT   NOT NULL,
    scopes        TEXT   NOT NULL,
    allowed_cidrs TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT,
    used_at       BIGINT,
    revoked_at    BIGINT
);
CREATE INDEX api_keys_owner ON api_keys (owner);

-- No reference to what is revoked: an entry outlives it.
CREATE TABLE revocations (
    seq        BIGINT NOT NULL PRIMARY KEY,
    kind       TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    below      BIGINT,
    expires_at BIGINT NOT NULL
);
CREATE INDEX revocations_expires ON revocations (expires_at);

CREATE TABLE audit (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         BIGINT NOT NULL,
    kind       TEXT   NOT NULL,
    actor      TEXT,
    subject    TEXT,
    address    TEXT,
    request_id TEXT,
    detail     TEXT
);
