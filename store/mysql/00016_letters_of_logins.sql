-- +goose Up

-- The login at the hosted pages in which a mailed token was asked for, where that was not in a
-- session: the letter ends with it. MySQL commits each change of a table by itself, so this
-- may run again after it was cut short, and then finds the column.
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'letters' AND column_name = 'login_id');
SET @change = IF(@missing, 'ALTER TABLE letters ADD COLUMN login_id BINARY(16),
    ADD KEY letters_login (login_id),
    ADD CONSTRAINT letters_of_login FOREIGN KEY (login_id) REFERENCES logins (id) ON DELETE CASCADE', 'DO 0');
PREPARE adding FROM @change;
EXECUTE adding;
DEALLOCATE PREPARE adding;
