-- +goose Up

-- When the session's user last proved who they are in it, for a change of the account;
-- NULL if never, or not since the account's password changed.
ALTER TABLE sessions ADD COLUMN proven_at INTEGER;
