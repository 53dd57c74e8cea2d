-- +goose Up

-- Letters whose token has been used and whose effect still stands: using it again is
-- answered as done already, until it expires.
CREATE TABLE used_letters (
    id         BLOB    NOT NULL PRIMARY KEY,
    kind       TEXT    NOT NULL,
    user_id    BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    address    TEXT    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX used_letters_user ON used_letters (user_id);
CREATE INDEX used_letters_expiry ON used_letters (expires_at);
