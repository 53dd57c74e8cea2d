-- +goose Up

-- Users' accounts at other providers, which open theirs here. subject_key stands for the
-- account there: a SHA-256 over the provider's id in the settings, its issuer and the subject.
CREATE TABLE IF NOT EXISTS identities (
    id          BINARY(16)    NOT NULL PRIMARY KEY,
    user_id     BINARY(16)    NOT NULL,
    provider    VARBINARY(64) NOT NULL,
    subject_key BINARY(32)    NOT NULL,
    email       VARCHAR(255),
    linked_at   BIGINT        NOT NULL,
    UNIQUE KEY identities_subject (subject_key),
    KEY identities_user (user_id),
    CONSTRAINT identities_of_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
