-- OAuth clients, and what was mailed to users.
CREATE TABLE clients (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name          TEXT   NOT NULL,
    -- The name without regard to case.
    folded        TEXT COLLATE "C" NOT NULL,
    secret        BYTEA,
    grants        TEXT   NOT NULL,
    scopes        TEXT   NOT NULL,
    redirect_uris TEXT   NOT NULL,
    generation    BIGINT NOT NULL,
    created_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX clients_folded ON clients (folded);
CREATE INDEX sessions_client ON sessions (client_id);

CREATE TABLE mailed_tokens (
    hash       BYTEA  NOT NULL PRIMARY KEY,
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose    TEXT COLLATE "C" NOT NULL CHECK (purpose IN ('reset', 'email')),
    email      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX mailed_tokens_user ON mailed_tokens (user_id);
CREATE INDEX mailed_tokens_expires ON mailed_tokens (expires_at);
UPDATE meta SET value = 3 WHERE name = 'schema_version';
