-- The user's epoch at sign-in: a session of another epoch is dead, also where a
-- sign-in and the end of the account's sessions passed each other on two machines.
-- Sessions from before have none.

-- +goose Up
ALTER TABLE sessions ADD COLUMN epoch INTEGER;
