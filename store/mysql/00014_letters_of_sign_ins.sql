-- +goose Up

-- What a letter about a sign-in says of it: the label of the browser, and the IP address.
-- MySQL commits each change of a table by itself, so this may run again after it was cut
-- short, and then finds the columns.
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'letters' AND column_name = 'device');
SET @change = IF(@missing, 'ALTER TABLE letters ADD COLUMN device VARCHAR(1024), ADD COLUMN caller_address VARCHAR(255)', 'DO 0');
PREPARE adding FROM @change;
EXECUTE adding;
DEALLOCATE PREPARE adding;
