-- +goose Up

-- The session in which a mailed token was asked for: the letter ends with it. Notices and
-- what strangers ask for have none.
ALTER TABLE letters ADD COLUMN session_id BLOB REFERENCES sessions (id) ON DELETE CASCADE;
CREATE INDEX letters_session ON letters (session_id);

-- What the mail server said, or why there was no answer, when the letter was last tried.
ALTER TABLE letters ADD COLUMN last_error TEXT;
