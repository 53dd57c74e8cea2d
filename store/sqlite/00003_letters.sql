-- Mail to people: what is to be sent, and what its tokens are good for. due_at is
-- when to send it, none if it has been or is never to be. epoch is the account's when
-- it was asked for: what lets somebody in is worth nothing in another.

-- +goose Up
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
