-- The first schema has number 5: databases of builds before the first release have
-- smaller numbers, and must be made anew.
--
-- All times are Unix milliseconds; ids are 16 bytes; absent is NULL, never zero.
--
-- What is compared (names, addresses, hashes, ids of clients and keys) is binary, so that
-- it is equal only to itself: text collations ignore case, accents or spaces at
-- the end.
--
-- DDL commits by itself here. A migration that was cut short is run again, so
-- every statement must be one that can be.

-- +goose Up
CREATE TABLE IF NOT EXISTS users (
    id             BINARY(16)      NOT NULL PRIMARY KEY,
    username       VARBINARY(1024) NOT NULL,
    email          VARCHAR(255),
    email_key      VARBINARY(1024),
    email_verified TINYINT         NOT NULL DEFAULT 0,
    roles          TEXT            NOT NULL,
    password_hash  VARBINARY(2048) NOT NULL,
    epoch          BIGINT          NOT NULL,
    disabled_at    BIGINT,
    created_at     BIGINT          NOT NULL,
    updated_at     BIGINT          NOT NULL,
    UNIQUE KEY users_username (username),
    UNIQUE KEY users_email (email_key)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- origins is a list for CORS to read; details are the settings that no query looks
-- at. Both are JSON.
CREATE TABLE IF NOT EXISTS clients (
    id          VARBINARY(255)  NOT NULL PRIMARY KEY,
    name        VARCHAR(1024)   NOT NULL,
    secret_hash VARBINARY(2048),
    declared    TINYINT         NOT NULL,
    origins     MEDIUMTEXT      NOT NULL,
    details     MEDIUMTEXT      NOT NULL,
    created_at  BIGINT          NOT NULL,
    updated_at  BIGINT          NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- One row is one sign-in. counter says which refresh token is current and
-- rotations holds the times of the last eight rotations, eight bytes each.
-- epoch is the user's when they signed in. A session of another epoch is dead: a
-- sign-in and the end of the account's sessions may pass each other on two machines.
CREATE TABLE IF NOT EXISTS sessions (
    id                  BINARY(16)     NOT NULL PRIMARY KEY,
    user_id             BINARY(16)     NOT NULL,
    client_id           VARBINARY(255) NOT NULL,
    scopes              TEXT           NOT NULL,
    counter             BIGINT         NOT NULL,
    rotations           VARBINARY(64)  NOT NULL,
    auth_time           BIGINT         NOT NULL,
    created_at          BIGINT         NOT NULL,
    last_used_at        BIGINT         NOT NULL,
    expires_at          BIGINT         NOT NULL,
    absolute_expires_at BIGINT         NOT NULL,
    device              VARCHAR(1024),
    epoch               BIGINT,
    KEY sessions_user (user_id),
    KEY sessions_client (client_id),
    KEY sessions_expiry (expires_at),
    CONSTRAINT sessions_of_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT sessions_of_client FOREIGN KEY (client_id) REFERENCES clients (id) ON DELETE CASCADE
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Mail to people: what is to be sent, and what its tokens are good for. due_at is
-- when to send it; NULL once it is sent or given up. epoch is the user's when the
-- letter was asked for: a token that signs its user in is worth nothing in another.
CREATE TABLE IF NOT EXISTS letters (
    id         BINARY(16)   NOT NULL PRIMARY KEY,
    kind       VARCHAR(64)  NOT NULL,
    user_id    BINARY(16),
    address    VARCHAR(255) NOT NULL,
    language   VARCHAR(255) NOT NULL,
    epoch      BIGINT       NOT NULL,
    created_at BIGINT       NOT NULL,
    expires_at BIGINT       NOT NULL,
    due_at     BIGINT,
    attempts   BIGINT       NOT NULL,
    KEY letters_user (user_id),
    KEY letters_due (due_at),
    KEY letters_expiry (expires_at),
    CONSTRAINT letters_of_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- What users say of themselves: standard claims (OpenID Connect Core section 5.1),
-- a JSON object.
CREATE TABLE IF NOT EXISTS profiles (
    user_id BINARY(16) NOT NULL PRIMARY KEY,
    claims  MEDIUMTEXT NOT NULL,
    CONSTRAINT profiles_of_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- What the authorization endpoint remembers is in tables of its own, so that the row
-- of a session, which each refresh writes anew, stays small.

-- What users let third-party clients have.
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

-- Which user is signed in to which browser at the hosted pages. A login of another
-- epoch than the user's is dead, as sessions are.
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

CREATE TABLE IF NOT EXISTS signing_keys (
    kid             VARBINARY(255) NOT NULL PRIMARY KEY,
    alg             VARBINARY(16)  NOT NULL,
    generation      BIGINT         NOT NULL,
    published_from  BIGINT         NOT NULL,
    signs_from      BIGINT         NOT NULL,
    signs_until     BIGINT         NOT NULL,
    published_until BIGINT         NOT NULL,
    `lead`          BIGINT         NOT NULL,
    revoked_at      BIGINT,
    public_key      BLOB           NOT NULL,
    sealed          BLOB           NOT NULL,
    UNIQUE KEY signing_keys_generation (alg, generation)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Failed guesses of passwords and client secrets, by the digest of what was
-- guessed at and from where.
CREATE TABLE IF NOT EXISTS guesses (
    id             BINARY(32) NOT NULL PRIMARY KEY,
    failures       BIGINT     NOT NULL,
    last_failed_at BIGINT     NOT NULL,
    KEY guesses_age (last_failed_at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS audit_events (
    id         BIGINT         NOT NULL PRIMARY KEY AUTO_INCREMENT,
    at         BIGINT         NOT NULL,
    kind       VARCHAR(64)    NOT NULL,
    user_id    BINARY(16),
    client_id  VARBINARY(255),
    session_id BINARY(16),
    key_id     VARBINARY(255),
    address    VARCHAR(255),
    request_id VARCHAR(255),
    KEY audit_events_age (at),
    KEY audit_events_user (user_id) -- and id, in whose order they are read
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- What the database says about itself.
CREATE TABLE IF NOT EXISTS settings (
    name  VARBINARY(64) NOT NULL PRIMARY KEY,
    value VARCHAR(1024) NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
