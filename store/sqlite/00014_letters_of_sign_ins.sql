-- +goose Up

-- What a letter about a sign-in says of it: the label of the browser, and the IP address.
ALTER TABLE letters ADD COLUMN device TEXT;
ALTER TABLE letters ADD COLUMN caller_address TEXT;
