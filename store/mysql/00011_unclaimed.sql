-- +goose Up

-- The key of an address that an account holds but doesn't claim: other accounts may hold
-- it, too, until one of them proves it. Sign-in by the address finds them here. MySQL commits
-- each change of a table by itself, so this may run again after it was cut short, and then
-- finds the column.
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'users' AND column_name = 'unclaimed_key');
SET @change = IF(@missing, 'ALTER TABLE users ADD COLUMN unclaimed_key VARBINARY(1024), ADD KEY users_unclaimed (unclaimed_key, created_at)', 'DO 0');
PREPARE adding FROM @change;
EXECUTE adding;
DEALLOCATE PREPARE adding;
UPDATE users SET unclaimed_key = LOWER(email) WHERE email_key IS NULL AND email IS NOT NULL AND unclaimed_key IS NULL;
