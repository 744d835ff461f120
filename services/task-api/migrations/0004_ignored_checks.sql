-- Of which versions of the task and its source a report speaks; NULL before these were counted.
ALTER TABLE prechecks ADD COLUMN task_version bigint;
ALTER TABLE prechecks ADD COLUMN source_version bigint;

-- Alerts that somebody answers for; never changed. One is about what was found: another cause of the
-- same check is told anew.
CREATE TABLE ignored_checks (
    task_id text NOT NULL REFERENCES tasks (id),
    code    text NOT NULL,
    cause   text NOT NULL,
    actor   text NOT NULL,
    reason  text NOT NULL,
    at      timestamptz NOT NULL,
    PRIMARY KEY (task_id, code, cause)
);
