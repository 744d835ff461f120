-- What becomes of a change that was sent as often as the group allows; absent for what is usual in the group's mode.
ALTER TABLE groups
    ADD COLUMN on_exhausted text CHECK (on_exhausted IN ('block', 'dead_letter'));

-- Tasks that were released not long ago: nobody makes a group of them any more.
CREATE TABLE released_tasks (
    task_id     text PRIMARY KEY,
    released_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX released_tasks_oldest ON released_tasks (released_at);
