-- The first schema has number 5: databases of builds before the first release have
-- smaller numbers, and must be made anew.
--
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

-- origins is a list for CORS to read; details are the settings that no query looks
-- at. Both are JSON.
CREATE TABLE clients (
    id          TEXT    NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL,
    secret_hash TEXT,
    declared    INTEGER NOT NULL,
    origins     TEXT    NOT NULL,
    details     TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row is one sign-in. counter says which refresh token is current and
-- rotations holds the times of the last eight rotations, eight bytes each.
-- epoch is the user's when they signed in. A session of another epoch is dead: a
-- sign-in and the end of the account's sessions may pass each other on two machines.
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
    device              TEXT,
    epoch               INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_client ON sessions (client_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- Mail to people: what is to be sent, and what its tokens are good for. due_at is
-- when to send it; NULL once it is sent or given up. epoch is the user's when the
-- letter was asked for: a token that signs its user in is worth nothing in another.
CREATE TABLE letters (
    id         BLOB    NOT NULL PRIMARY KEY,
    kind       TEXT    NOT NULL,
    user_id    BLOB    REFERENCES users (id) ON DELETE CASCADE,
    address    TEXT    NOT NULL,
    language   TEXT    NOT NULL,
    epoch      INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    due_at     INTEGER,
    attempts   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX letters_user ON letters (user_id);
CREATE INDEX letters_due ON letters (due_at);
CREATE INDEX letters_expiry ON letters (expires_at);

-- What users say of themselves: standard claims (OpenID Connect Core section 5.1),
-- a JSON object.
CREATE TABLE profiles (
    user_id BLOB NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    claims  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What the authorization endpoint remembers is in tables of its own, so that the row
-- of a session, which each refresh writes anew, stays small.

-- What users let third-party clients have.
CREATE TABLE consents (
    id         BLOB    NOT NULL PRIMARY KEY,
    user_id    BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id  TEXT    NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    scopes     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (user_id, client_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX consents_client ON consents (client_id);

-- Which user is signed in to which browser at the hosted pages. A login of another
-- epoch than the user's is dead, as sessions are.
CREATE TABLE logins (
    id                  BLOB    NOT NULL PRIMARY KEY,
    user_id             BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    epoch               INTEGER NOT NULL,
    auth_time           INTEGER NOT NULL,
    created_at          INTEGER NOT NULL,
    expires_at          INTEGER NOT NULL,
    absolute_expires_at INTEGER NOT NULL,
    device              TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX logins_user ON logins (user_id);
CREATE INDEX logins_expiry ON logins (expires_at);

-- Authorization codes by their SHA-256. session_id is what the code was exchanged
-- for; such a row stays a while, for a second exchange ends that session.
CREATE TABLE codes (
    id         BLOB    NOT NULL PRIMARY KEY,
    client_id  TEXT    NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    user_id    BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    epoch      INTEGER NOT NULL,
    login_id   BLOB,
    auth_time  INTEGER NOT NULL,
    scopes     TEXT    NOT NULL,
    details    TEXT    NOT NULL,
    device     TEXT,
    expires_at INTEGER NOT NULL,
    session_id BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX codes_client ON codes (client_id);
CREATE INDEX codes_user ON codes (user_id);
CREATE INDEX codes_expiry ON codes (expires_at);

-- What a session has that began with an authorization code: the browser's sign-in
-- that it came of, and what else was asked for, a JSON object.
CREATE TABLE authorizations (
    session_id BLOB NOT NULL PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    login_id   BLOB,
    details    TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX authorizations_login ON authorizations (login_id);

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
