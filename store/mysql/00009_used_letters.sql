-- +goose Up

-- Letters whose token has been used and whose effect still stands: using it again is
-- answered as done already, until it expires.
CREATE TABLE IF NOT EXISTS used_letters (
    id         BINARY(16)   NOT NULL PRIMARY KEY,
    kind       VARCHAR(64)  NOT NULL,
    user_id    BINARY(16)   NOT NULL,
    address    VARCHAR(255) NOT NULL,
    expires_at BIGINT       NOT NULL,
    KEY used_letters_user (user_id),
    KEY used_letters_expiry (expires_at),
    CONSTRAINT used_letters_of_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
