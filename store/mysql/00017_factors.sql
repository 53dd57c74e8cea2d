-- +goose Up

-- What users prove besides a password. confirmed_at is NULL until the user has shown that the
-- authenticator app makes right codes; last_step is the time step of the last code used.
CREATE TABLE IF NOT EXISTS factors (
    id           BINARY(16)    NOT NULL PRIMARY KEY,
    user_id      BINARY(16)    NOT NULL,
    kind         VARBINARY(64) NOT NULL,
    name         VARCHAR(255)  NOT NULL,
    created_at   BIGINT        NOT NULL,
    last_used_at BIGINT,
    confirmed_at BIGINT,
    sealed       VARBINARY(255),
    last_step    BIGINT        NOT NULL,
    KEY factors_user (user_id),
    CONSTRAINT factors_of_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- The codes of a factor of kind recovery_codes: digests, each gone once it is used.
CREATE TABLE IF NOT EXISTS recovery_codes (
    id        BINARY(32) NOT NULL PRIMARY KEY,
    factor_id BINARY(16) NOT NULL,
    KEY recovery_codes_factor (factor_id),
    CONSTRAINT recovery_codes_of_factor FOREIGN KEY (factor_id) REFERENCES factors (id) ON DELETE CASCADE
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
