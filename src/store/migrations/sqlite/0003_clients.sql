-- OAuth clients, and what was mailed to users.
CREATE TABLE clients (
    id            TEXT   NOT NULL PRIMARY KEY,
    name          TEXT   NOT NULL,
    -- The name without regard to case.
    folded        TEXT   NOT NULL,
    secret        BLOB,
    grants        TEXT   NOT NULL,
    scopes        TEXT   NOT NULL,
    redirect_uris TEXT   NOT NULL,
    generation    BIGINT NOT NULL,
    created_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX clients_folded ON clients (folded);
CREATE INDEX sessions_client ON sessions (client_id);

CREATE TABLE mailed_tokens (
    hash       BLOB   NOT NULL PRIMARY KEY,
    user_id    TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose    TEXT   NOT NULL CHECK (purpose IN ('reset', 'email')),
    email      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX mailed_tokens_user ON mailed_tokens (user_id);
CREATE INDEX mailed_tokens_expires ON mailed_tokens (expires_at);
UPDATE meta SET value = 3 WHERE name = 'schema_version';
