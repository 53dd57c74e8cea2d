-- +goose Up

-- What users prove besides a password. confirmed_at is NULL until the user has shown that the
-- authenticator app makes right codes; last_step is the time step of the last code used.
CREATE TABLE factors (
    id           BLOB    NOT NULL PRIMARY KEY,
    user_id      BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind         TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    confirmed_at INTEGER,
    sealed       BLOB,
    last_step    INTEGER NOT NULL
) STRICT;
CREATE INDEX factors_user ON factors (user_id);

-- The codes of a factor of kind recovery_codes: digests, each gone once it is used.
CREATE TABLE recovery_codes (
    id        BLOB NOT NULL PRIMARY KEY,
    factor_id BLOB NOT NULL REFERENCES factors (id) ON DELETE CASCADE
) STRICT;
CREATE INDEX recovery_codes_factor ON recovery_codes (factor_id);
