-- +goose Up

-- What the user had proven when the session or the login began, by the names of RFC 8176 with
-- spaces between them; NULL is the password alone.
ALTER TABLE sessions ADD COLUMN methods TEXT;
ALTER TABLE logins ADD COLUMN methods TEXT;
