-- The version that an answer shows, told again with it.
ALTER TABLE idempotency_keys ADD COLUMN etag text;
-- With what an answer that tells a secret is sealed.
ALTER TABLE idempotency_keys ADD COLUMN sealed_key_id text;
ALTER TABLE idempotency_keys ADD COLUMN sealed_nonce bytea;

-- What users have changed of things whose rows another service has: how many times. Without a row, not yet.
CREATE TABLE versions (
    about   text PRIMARY KEY,
    version bigint NOT NULL,
    -- The oldest version that was the same: a change that was refused counts, and changes nothing.
    since   bigint NOT NULL CHECK (since <= version)
);
