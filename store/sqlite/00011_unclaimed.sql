-- +goose Up

-- The key of an address that an account holds but doesn't claim: other accounts may hold
-- it, too, until one of them proves it. Sign-in by the address finds them here. lower knows
-- only ASCII, which most addresses are; the others sign in by their name until they are
-- proven.
ALTER TABLE users ADD COLUMN unclaimed_key TEXT;
UPDATE users SET unclaimed_key = lower(email) WHERE email_key IS NULL AND email IS NOT NULL;
CREATE INDEX users_unclaimed ON users (unclaimed_key, created_at);
