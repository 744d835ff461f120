-- When a started task is to be looked at again; NULL until it was looked at once.
ALTER TABLE tasks ADD COLUMN recheck_at timestamptz;

-- What a started task's source and broker looked like last.
CREATE TABLE rechecks (
    task_id    text PRIMARY KEY REFERENCES tasks (id),
    report     jsonb NOT NULL,
    -- Codes of the checks that no longer find what the precheck before the start has found.
    problems   jsonb NOT NULL,
    checked_at timestamptz NOT NULL
);
