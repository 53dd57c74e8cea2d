-- What the authorization endpoint remembers, and what people say of themselves. It is
-- in tables of its own: what a session carries for the one client in hundreds that
-- asked for it is not on the way of all others, and no large table is altered.

-- +goose Up

-- What people say of themselves: standard claims (OpenID Connect Core section 5.1),
-- a JSON object.
CREATE TABLE IF NOT EXISTS profiles (
    user_id BINARY(16) NOT NULL PRIMARY KEY,
    claims  MEDIUMTEXT NOT NULL,
    CONSTRAINT profiles_of_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- What users let clients have that are not ours.
CREATE TABLE IF NOT EXISTS consents (
    id         BINARY(16)     NOT NULL PRIMARY KEY,
    user_id    BINARY(16)     NOT NULL,
    client_id  VARBINARY(255) NOT NULL,
    scopes     TEXT           NOT NULL,
    created_at BIGINT         NOT NULL,
    updated_at BIGINT         NOT NULL,
    UNIQUE KEY consents_pair (user_id, client_id),
    KEY consents_client (client_id),
    CONSTRAINT consents_of_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT consents_of_client FOREIGN KEY (client_id) REFERENCES clients (id) ON DELETE CASCADE
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Who is signed in to which browser at the hosted pages. One of another epoch than
-- the user's is dead, as sessions are.
CREATE TABLE IF NOT EXISTS logins (
    id                  BINARY(16) NOT NULL PRIMARY KEY,
    user_id             BINARY(16) NOT NULL,
    epoch               BIGINT     NOT NULL,
    auth_time           BIGINT     NOT NULL,
    created_at          BIGINT     NOT NULL,
    expires_at          BIGINT     NOT NULL,
    absolute_expires_at BIGINT     NOT NULL,
    device              VARCHAR(1024),
    KEY logins_user (user_id),
    KEY logins_expiry (expires_at),
    CONSTRAINT logins_of_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Authorization codes by their SHA-256. session_id is what the code was exchanged
-- for; such a row stays a while, for a second exchange ends that session.
CREATE TABLE IF NOT EXISTS codes (
    id         BINARY(32)     NOT NULL PRIMARY KEY,
    client_id  VARBINARY(255) NOT NULL,
    user_id    BINARY(16)     NOT NULL,
    epoch      BIGINT         NOT NULL,
    login_id   BINARY(16),
    auth_time  BIGINT         NOT NULL,
    scopes     TEXT           NOT NULL,
    details    MEDIUMTEXT     NOT NULL,
    device     VARCHAR(1024),
    expires_at BIGINT         NOT NULL,
    session_id BINARY(16),
    KEY codes_client (client_id),
    KEY codes_user (user_id),
    KEY codes_expiry (expires_at),
    CONSTRAINT codes_of_client FOREIGN KEY (client_id) REFERENCES clients (id) ON DELETE CASCADE,
    CONSTRAINT codes_of_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- What a session has that began with an authorization code: the browser's sign-in
-- that it came of, and what else was asked for, a JSON object.
CREATE TABLE IF NOT EXISTS authorizations (
    session_id BINARY(16) NOT NULL PRIMARY KEY,
    login_id   BINARY(16),
    details    MEDIUMTEXT NOT NULL,
    KEY authorizations_login (login_id),
    CONSTRAINT authorizations_of_session FOREIGN KEY (session_id) REFERENCES sessions (id) ON DELETE CASCADE
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
