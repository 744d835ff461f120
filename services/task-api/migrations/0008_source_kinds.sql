-- Who runs a source, where, and what they call it.
ALTER TABLE sources ADD COLUMN kind text NOT NULL DEFAULT 'postgresql';
ALTER TABLE sources ADD COLUMN region text;
ALTER TABLE sources ADD COLUMN instance_id text;
