ALTER TABLE derivations
    -- Number of the last session that was begun: what an earlier one still says does not count.
    ADD COLUMN session      bigint NOT NULL DEFAULT 0,
    -- Sequence, in the own stream, of the last message that tells what was lost before it was taken, and what that was;
    -- 0 and '' where nothing was.
    ADD COLUMN gap_sequence bigint NOT NULL DEFAULT 0,
    ADD COLUMN gap          text   NOT NULL DEFAULT '';
