-- The consumer group that an incident is about; absent where it is about the whole task.
ALTER TABLE incidents
    ADD COLUMN group_id   text,
    ADD COLUMN group_name text;

-- A task has one open incident of a rule, and so has each of its groups, whatever goes wrong above.
DROP INDEX incidents_open;
CREATE UNIQUE INDEX incidents_open ON incidents (task_id, rule, coalesce(group_id, '')) WHERE resolved_at IS NULL;

-- Groups that were deleted: what comes late of them begins nothing.
CREATE TABLE deleted_groups (
    group_id   text PRIMARY KEY,
    deleted_at timestamptz NOT NULL
);
