-- +goose Up

-- What the user had proven when the session or the login began, by the names of RFC 8176 with
-- spaces between them; NULL is the password alone. MySQL commits each change of a
-- table by itself, so this may run again after it was cut short, and then finds the column.
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'sessions' AND column_name = 'methods');
SET @change = IF(@missing, 'ALTER TABLE sessions ADD COLUMN methods VARCHAR(100)', 'DO 0');
PREPARE adding FROM @change;
EXECUTE adding;
DEALLOCATE PREPARE adding;
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'logins' AND column_name = 'methods');
SET @change = IF(@missing, 'ALTER TABLE logins ADD COLUMN methods VARCHAR(100)', 'DO 0');
PREPARE adding FROM @change;
EXECUTE adding;
DEALLOCATE PREPARE adding;
