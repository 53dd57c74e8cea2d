-- +goose Up

-- session_id is the session in which a mailed token was asked for: the letter ends with it.
-- Notices and what strangers ask for have none. last_error is what the mail server said, or
-- why there was no answer, when the letter was last tried. MySQL commits each change of a
-- table by itself, so this may run again after it was cut short, and then finds the columns.
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'letters' AND column_name = 'session_id');
SET @change = IF(@missing, 'ALTER TABLE letters ADD COLUMN session_id BINARY(16), ADD COLUMN last_error VARCHAR(1024),
    ADD KEY letters_session (session_id),
    ADD CONSTRAINT letters_of_session FOREIGN KEY (session_id) REFERENCES sessions (id) ON DELETE CASCADE', 'DO 0');
PREPARE adding FROM @change;
EXECUTE adding;
DEALLOCATE PREPARE adding;
