-- What is bought. A task has one instance, an order key buys once.
CREATE TABLE instances (
    id            text PRIMARY KEY,
    task_id       text NOT NULL UNIQUE,
    order_key     text NOT NULL UNIQUE,
    actor         text NOT NULL,
    hour_micros   bigint NOT NULL CHECK (hour_micros >= 0),
    currency      text NOT NULL,
    price_version text NOT NULL,
    purchased_at  timestamptz NOT NULL,
    -- Start of the first hour that is not closed yet.
    metered_until timestamptz NOT NULL,
    -- When the task was released; its later hours are not looked at.
    ended_at      timestamptz
);

-- A stretch of time in one billable state, up to the task's next change of state.
CREATE TABLE intervals (
    task_id    text NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at   timestamptz CHECK (ended_at > started_at),
    PRIMARY KEY (task_id, started_at)
);

-- Closed hours. A line is written once and stays.
CREATE TABLE usage (
    task_id       text NOT NULL REFERENCES instances (task_id),
    hour          timestamptz NOT NULL,
    seconds       integer NOT NULL CHECK (seconds BETWEEN 1 AND 3600),
    amount_micros bigint NOT NULL CHECK (amount_micros >= 0),
    PRIMARY KEY (task_id, hour)
);

-- Events taken: against taking one twice, and to find the neighbours of one that comes late.
CREATE TABLE seen_events (
    event_id    text PRIMARY KEY,
    task_id     text NOT NULL,
    occurred_at timestamptz NOT NULL,
    taken_at    timestamptz NOT NULL
);

CREATE INDEX seen_events_by_task ON seen_events (task_id, occurred_at, event_id);

CREATE TABLE outbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id    text NOT NULL UNIQUE,
    subject     text NOT NULL,
    payload     bytea NOT NULL,
    traceparent text NOT NULL,
    tracestate  text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
