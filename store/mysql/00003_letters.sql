-- Mail to people: what is to be sent, and what its tokens are good for. due_at is
-- when to send it, none if it has been or is never to be. epoch is the account's when
-- it was asked for: what lets somebody in is worth nothing in another.

-- +goose Up
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
