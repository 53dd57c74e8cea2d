-- +goose Up

-- When the session's user last proved who they are in it, for a change of the account;
-- NULL if never, or not since the account's password changed. MySQL commits each change of
-- a table by itself, so this may run again after it was cut short, and then finds the
-- column.
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'sessions' AND column_name = 'proven_at');
SET @change = IF(@missing, 'ALTER TABLE sessions ADD COLUMN proven_at BIGINT', 'DO 0');
PREPARE adding FROM @change;
EXECUTE adding;
DEALLOCATE PREPARE adding;
