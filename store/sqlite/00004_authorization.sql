-- What the authorization endpoint remembers, and what people say of themselves. It is
-- in tables of its own: what a session carries for the one client in hundreds that
-- asked for it is not on the way of all others.

-- +goose Up

-- What people say of themselves: standard claims (OpenID Connect Core section 5.1),
-- a JSON object.
CREATE TABLE profiles (
    user_id BLOB NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    claims  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What users let clients have that are not ours.
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

-- Who is signed in to which browser at the hosted pages. One of another epoch than
-- the user's is dead, as sessions are.
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
