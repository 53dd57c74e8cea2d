-- +goose Up

-- What a factor of kind passkey signs with. id is the SHA-256 of the credential's id, which no
-- two factors share.
CREATE TABLE IF NOT EXISTS passkeys (
    id              BINARY(32)      NOT NULL PRIMARY KEY,
    factor_id       BINARY(16)      NOT NULL,
    credential_id   VARBINARY(1023) NOT NULL,
    public_key      BLOB            NOT NULL,
    sign_count      BIGINT          NOT NULL,
    backup_eligible BIGINT          NOT NULL,
    backed_up       BIGINT          NOT NULL,
    transports      VARBINARY(255)  NOT NULL,
    KEY passkeys_factor (factor_id),
    CONSTRAINT passkeys_of_factor FOREIGN KEY (factor_id) REFERENCES factors (id) ON DELETE CASCADE
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
