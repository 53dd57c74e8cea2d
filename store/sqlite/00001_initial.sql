-- All times are Unix milliseconds; ids are 16 bytes; absent is NULL, never zero.

-- +goose Up
CREATE TABLE users (
    id             BLOB    NOT NULL PRIMARY KEY,
    username       TEXT    NOT NULL UNIQUE,
    email          TEXT,
    email_key      TEXT    UNIQUE,
    email_verified INTEGER NOT NULL DEFAULT 0,
    roles          TEXT    NOT NULL,
    password_hash  TEXT    NOT NULL,
    epoch          INTEGER NOT NULL,
    disabled_at    INTEGER,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE clients (
    id                        TEXT    NOT NULL PRIMARY KEY,
    name                      TEXT    NOT NULL,
    public                    INTEGER NOT NULL,
    secret_hash               TEXT,
    first_party               INTEGER NOT NULL,
    grants                    TEXT    NOT NULL,
    redirect_uris             TEXT    NOT NULL,
    post_logout_redirect_uris TEXT    NOT NULL,
    origins                   TEXT    NOT NULL,
    scopes                    TEXT    NOT NULL,
    audiences                 TEXT    NOT NULL,
    may_introspect            INTEGER NOT NULL,
    pkce_optional             INTEGER NOT NULL,
    id_token_alg              TEXT,
    declared                  INTEGER NOT NULL,
    created_at                INTEGER NOT NULL,
    updated_at                INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row is one sign-in. counter says which refresh token is current and
-- rotations holds the times of the last eight rotations, eight bytes each.
CREATE TABLE sessions (
    id                  BLOB    NOT NULL PRIMARY KEY,
    user_id             BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id           TEXT    NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    scopes              TEXT    NOT NULL,
    counter             INTEGER NOT NULL,
    rotations           BLOB    NOT NULL,
    auth_time           INTEGER NOT NULL,
    created_at          INTEGER NOT NULL,
    last_used_at        INTEGER NOT NULL,
    expires_at          INTEGER NOT NULL,
    absolute_expires_at INTEGER NOT NULL,
    device              TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_client ON sessions (client_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE signing_keys (
    kid             TEXT    NOT NULL PRIMARY KEY,
    alg             TEXT    NOT NULL,
    generation      INTEGER NOT NULL,
    published_from  INTEGER NOT NULL,
    signs_from      INTEGER NOT NULL,
    signs_until     INTEGER NOT NULL,
    published_until INTEGER NOT NULL,
    lead            INTEGER NOT NULL,
    revoked_at      INTEGER,
    public_key      BLOB    NOT NULL,
    sealed          BLOB    NOT NULL,
    UNIQUE (alg, generation)
) STRICT, WITHOUT ROWID;

-- Failed guesses of passwords and client secrets, by the digest of what was
-- guessed at and from where.
CREATE TABLE guesses (
    id             BLOB    NOT NULL PRIMARY KEY,
    failures       INTEGER NOT NULL,
    last_failed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX guesses_age ON guesses (last_failed_at);

CREATE TABLE audit_events (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    user_id    BLOB,
    client_id  TEXT,
    session_id BLOB,
    key_id     TEXT,
    address    TEXT,
    request_id TEXT
) STRICT;
CREATE INDEX audit_events_age ON audit_events (at);
CREATE INDEX audit_events_user ON audit_events (user_id); -- and id, in whose order they are read

-- What the database says about itself.
CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
