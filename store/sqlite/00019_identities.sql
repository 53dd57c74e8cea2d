-- +goose Up

-- Users' accounts at other providers, which open theirs here. subject_key stands for the
-- account there: a SHA-256 over the provider's id in the settings, its issuer and the subject.
CREATE TABLE identities (
    id          BLOB    NOT NULL PRIMARY KEY,
    user_id     BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    provider    TEXT    NOT NULL,
    subject_key BLOB    NOT NULL UNIQUE,
    email       TEXT,
    linked_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX identities_user ON identities (user_id);
