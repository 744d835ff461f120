-- What the last report on a task says in short, so that a list reads no reports.
ALTER TABLE tasks ADD COLUMN last_precheck jsonb;

UPDATE tasks
SET last_precheck = (
    SELECT jsonb_build_object(
        'passed', report -> 'passed',
        'success_percent', report -> 'success_percent',
        'finished_at', report -> 'finished_at'
    )
    FROM prechecks
    WHERE prechecks.task_id = tasks.id
    ORDER BY prechecks.finished_at DESC
    LIMIT 1
);

-- What CreateDtsInstance has ordered and could not be bought yet: nothing is sold before a precheck has passed. Without
-- a reference: DTS orders first and configures later, so the task may not be there yet.
CREATE TABLE kept_orders (
    task_id        text PRIMARY KEY,
    order_body     jsonb NOT NULL,
    -- The buyer's Idempotency-Key.
    order_key      text,
    -- Of a task that is not there yet: who shares it.
    resource_group text,
    created_at     timestamptz NOT NULL
);
