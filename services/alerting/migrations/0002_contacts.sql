-- Whom incidents are told.
CREATE TABLE contacts (
    id                text PRIMARY KEY,
    name              text NOT NULL,
    -- Absent where nobody shares it.
    resource_group    text,
    url               text NOT NULL,
    secret_key_id     text NOT NULL,
    secret_nonce      bytea NOT NULL,
    secret_ciphertext bytea NOT NULL,
    created_at        timestamptz NOT NULL
);

-- What contacts are to be told, written with the incident.
CREATE TABLE deliveries (
    id           text PRIMARY KEY,
    contact_id   text NOT NULL REFERENCES contacts ON DELETE CASCADE,
    incident_id  text NOT NULL REFERENCES incidents,
    task_id      text NOT NULL,
    event        text NOT NULL,
    body         text NOT NULL,
    created_at   timestamptz NOT NULL,
    due_at       timestamptz NOT NULL,
    attempts     int NOT NULL DEFAULT 0,
    -- Absent while it is to be told: told, or given up.
    ended_at     timestamptz,
    UNIQUE (incident_id, contact_id, event)
);
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE ended_at IS NULL;
CREATE INDEX deliveries_ended ON deliveries (ended_at) WHERE ended_at IS NOT NULL;
