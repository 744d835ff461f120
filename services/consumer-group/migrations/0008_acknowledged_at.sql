-- When the change was committed that a group had acknowledged last; absent where it was not in the stream any more.
ALTER TABLE samples ADD COLUMN acknowledged_at timestamptz;
