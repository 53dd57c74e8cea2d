-- +goose Up

-- Whose account the guesses were at, if it was one's: the operator forgets them together.
ALTER TABLE guesses ADD COLUMN user_id BLOB;
CREATE INDEX guesses_user ON guesses (user_id);
