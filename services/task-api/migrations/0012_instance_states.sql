-- What billing last said of a task's instance. It decides in the transaction that starts a task: an
-- expiry that comes in the same moment is not missed.
CREATE TABLE instance_states (
    task_id    text PRIMARY KEY REFERENCES tasks (id),
    -- Billing's count: what is older than this is not taken.
    version    bigint NOT NULL,
    state      text NOT NULL CHECK (state IN ('active', 'expired', 'ended')),
    expires_at timestamptz,
    -- While it is expired: when it ends, unless it is renewed.
    release_at timestamptz
);
