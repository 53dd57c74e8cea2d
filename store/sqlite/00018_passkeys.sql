-- +goose Up

-- What a factor of kind passkey signs with. id is the SHA-256 of the credential's id, which no
-- two factors share.
CREATE TABLE passkeys (
    id              BLOB    NOT NULL PRIMARY KEY,
    factor_id       BLOB    NOT NULL REFERENCES factors (id) ON DELETE CASCADE,
    credential_id   BLOB    NOT NULL,
    public_key      BLOB    NOT NULL,
    sign_count      INTEGER NOT NULL,
    backup_eligible INTEGER NOT NULL,
    backed_up       INTEGER NOT NULL,
    transports      TEXT    NOT NULL
) STRICT;
CREATE INDEX passkeys_factor ON passkeys (factor_id);
