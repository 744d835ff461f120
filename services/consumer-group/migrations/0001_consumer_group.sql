-- Groups that were ever made. The row of a deleted group stays: its id is never used again.
CREATE TABLE groups (
    id            text PRIMARY KEY,
    task_id       text NOT NULL,
    name          text NOT NULL,
    account       text NOT NULL,
    -- argon2id, in PHC form.
    password_hash text NOT NULL,
    -- Key of the request that made it, where it had one.
    request_key   text,
    created_at    timestamptz NOT NULL,
    -- When it was deleted; from then on nobody logs in.
    deleted_at    timestamptz,
    -- When its consumer and connections were found gone for good.
    cleared_at    timestamptz CHECK (cleared_at > deleted_at)
);

CREATE UNIQUE INDEX groups_name ON groups (task_id, name) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX groups_request_key ON groups (task_id, request_key);
-- What the reconciler looks at.
CREATE INDEX groups_open ON groups (task_id) WHERE cleared_at IS NULL;

CREATE TABLE outbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id    text NOT NULL UNIQUE,
    subject     text NOT NULL,
    payload     bytea NOT NULL,
    traceparent text NOT NULL,
    tracestate  text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
