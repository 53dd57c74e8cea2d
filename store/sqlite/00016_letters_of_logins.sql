-- +goose Up

-- The login at the hosted pages in which a mailed token was asked for, where that was not in a
-- session: the letter ends with it.
ALTER TABLE letters ADD COLUMN login_id BLOB REFERENCES logins (id) ON DELETE CASCADE;
CREATE INDEX letters_login ON letters (login_id);
