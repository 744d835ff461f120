-- The name of those who share a source; NULL for nobody.
ALTER TABLE sources ADD COLUMN resource_group text;

-- Who may ask beside the bearer of the admin token. A token itself is nowhere: only its SHA-256.
CREATE TABLE api_tokens (
    id              text PRIMARY KEY,
    name            text NOT NULL,
    role            text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    -- An array of names; NULL for no bounds.
    resource_groups jsonb CHECK (role <> 'admin' OR resource_groups IS NULL),
    digest          bytea NOT NULL UNIQUE,
    created_by      text NOT NULL,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz,
    last_used_at    timestamptz,
    revoked_at      timestamptz
);

-- A name is that of one bearer at a time; a revoked token gives it back.
CREATE UNIQUE INDEX api_tokens_by_name ON api_tokens (lower(name)) WHERE revoked_at IS NULL;

-- Requests that may have changed something, written before they are carried out. One without a status
-- has lost its process.
CREATE TABLE audit (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL,
    actor    text NOT NULL,
    token_id text,
    address  text,
    action   text NOT NULL,
    path     text NOT NULL,
    created  text,
    status   integer,
    problem  text,
    trace_id text
);

CREATE INDEX audit_by_age ON audit (at);

-- A key is of the caller that has sent it.
ALTER TABLE idempotency_keys ADD COLUMN caller text NOT NULL DEFAULT 'admin';
ALTER TABLE idempotency_keys DROP CONSTRAINT idempotency_keys_pkey;
ALTER TABLE idempotency_keys ADD PRIMARY KEY (caller, key);
