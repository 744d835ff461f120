-- The customers' databases. The password is sealed for `source-password/<id>`.
CREATE TABLE sources (
    id                  text PRIMARY KEY,
    name                text NOT NULL,
    host                text NOT NULL,
    port                integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
    database            text NOT NULL,
    account             text NOT NULL,
    sslmode             text NOT NULL,
    sslrootcert         text,
    password_key_id     text NOT NULL,
    password_nonce      bytea NOT NULL,
    password_ciphertext bytea NOT NULL,
    created_at          timestamptz NOT NULL
);

-- What is to be tracked, where it stands, and what capture last said of it.
CREATE TABLE tasks (
    id                 text PRIMARY KEY,
    source_id          text NOT NULL REFERENCES sources (id),
    -- The body it was created with, the database filled in.
    definition         jsonb NOT NULL,
    state              text NOT NULL,
    -- What capture must make true; absent until the first start.
    desired            text CHECK (desired IN ('running', 'suspended', 'released')),
    -- Counts the versions of the wish; 0 for none.
    generation         bigint NOT NULL DEFAULT 0,
    -- The version that the bucket holds.
    written_generation bigint NOT NULL DEFAULT 0 CHECK (written_generation <= generation),
    -- The request that caused the last version.
    wish_traceparent   text NOT NULL DEFAULT '',
    wish_tracestate    text NOT NULL DEFAULT '',
    -- As reported by capture.
    error              jsonb,
    position           jsonb,
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    CHECK ((desired IS NULL) = (generation = 0))
);

CREATE INDEX tasks_unwritten ON tasks (id) WHERE written_generation < generation;
CREATE INDEX tasks_prechecking ON tasks (updated_at) WHERE state = 'prechecking';

-- Every step of every task; never changed.
CREATE TABLE task_transitions (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_id    text NOT NULL REFERENCES tasks (id),
    from_state text NOT NULL,
    to_state   text NOT NULL,
    actor      text NOT NULL,
    reason     text NOT NULL,
    trace_id   text,
    at         timestamptz NOT NULL
);

CREATE INDEX task_transitions_by_task ON task_transitions (task_id, id);

CREATE TABLE prechecks (
    id          text PRIMARY KEY,
    task_id     text NOT NULL REFERENCES tasks (id),
    report      jsonb NOT NULL,
    finished_at timestamptz NOT NULL
);

CREATE INDEX prechecks_by_task ON prechecks (task_id, finished_at);

-- Answers given under an Idempotency-Key. Without a status the request is still being answered.
CREATE TABLE idempotency_keys (
    key         text PRIMARY KEY,
    -- HMAC of method, path and body: a body may hold a password, so a plain digest will not do.
    fingerprint bytea NOT NULL,
    status      integer,
    answer      bytea,
    claimed_at  timestamptz NOT NULL,
    CHECK ((status IS NULL) = (answer IS NULL))
);

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (claimed_at);

CREATE TABLE outbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id    text NOT NULL UNIQUE,
    subject     text NOT NULL,
    payload     bytea NOT NULL,
    traceparent text NOT NULL,
    tracestate  text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
