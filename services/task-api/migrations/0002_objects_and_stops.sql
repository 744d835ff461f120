-- Name of the stop past which the last version of the wish goes on; empty for none.
ALTER TABLE tasks ADD COLUMN accepted_stop text NOT NULL DEFAULT '';

-- As reported by capture: the commit LSN after which the present objects are tracked, and what the
-- task cannot see though it should.
ALTER TABLE tasks ADD COLUMN objects_since text;
ALTER TABLE tasks ADD COLUMN warnings jsonb NOT NULL DEFAULT '[]';
