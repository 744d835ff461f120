CREATE TABLE incidents (
    id            text PRIMARY KEY,
    task_id       text NOT NULL,
    task_name     text NOT NULL,
    rule          text NOT NULL,
    summary       text NOT NULL,
    -- Absent where the event named no error.
    error_code    text,
    error_message text NOT NULL DEFAULT '',
    error_advice  text NOT NULL DEFAULT '',
    opened_at     timestamptz NOT NULL,
    -- Absent while open.
    resolved_at   timestamptz
);

-- A task has one open incident of a rule, whatever goes wrong above.
CREATE UNIQUE INDEX incidents_open ON incidents (task_id, rule) WHERE resolved_at IS NULL;
CREATE INDEX incidents_newest ON incidents (opened_at DESC, id DESC);
CREATE INDEX incidents_of_task ON incidents (task_id, opened_at DESC, id DESC);

-- Events that were taken: the same id does nothing again.
CREATE TABLE seen_events (
    event_id text PRIMARY KEY,
    seen_at  timestamptz NOT NULL
);
CREATE INDEX seen_events_oldest ON seen_events (seen_at);

CREATE TABLE outbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id    text NOT NULL UNIQUE,
    subject     text NOT NULL,
    payload     bytea NOT NULL,
    traceparent text NOT NULL,
    tracestate  text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
