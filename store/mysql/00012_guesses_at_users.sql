-- +goose Up

-- Whose account the guesses were at, if it was one's: the operator forgets them together.
-- MySQL commits each change of a table by itself, so this may run again after it was cut
-- short, and then finds the column.
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'guesses' AND column_name = 'user_id');
SET @change = IF(@missing, 'ALTER TABLE guesses ADD COLUMN user_id BINARY(16), ADD KEY guesses_user (user_id)', 'DO 0');
PREPARE adding FROM @change;
EXECUTE adding;
DEALLOCATE PREPARE adding;
