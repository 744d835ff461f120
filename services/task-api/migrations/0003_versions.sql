-- Counts what users change of a task or a source: the ETag that they can demand with If-Match.
ALTER TABLE tasks ADD COLUMN version bigint NOT NULL DEFAULT 1 CHECK (version > 0);
ALTER TABLE sources ADD COLUMN version bigint NOT NULL DEFAULT 1 CHECK (version > 0);

-- A source that was deleted stays for the released tasks that name it, without its password.
ALTER TABLE sources ADD COLUMN deleted_at timestamptz;

CREATE INDEX tasks_by_source ON tasks (source_id);
