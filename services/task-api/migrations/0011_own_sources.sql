-- A source that was given with a task, and goes with the last task that needs it.
ALTER TABLE sources ADD COLUMN own boolean NOT NULL DEFAULT false;
