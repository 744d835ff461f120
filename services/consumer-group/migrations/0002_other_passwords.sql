-- When the connections of a group are closed once more after its password has changed: a login that was judged in
-- that moment may have come behind the first time. Absent where that is done.
ALTER TABLE groups ADD COLUMN kick_due_at timestamptz;
CREATE INDEX groups_kick_due ON groups (kick_due_at) WHERE kick_due_at IS NOT NULL;
