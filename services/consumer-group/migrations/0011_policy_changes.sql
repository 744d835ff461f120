-- The policy of a group that reads a stream of its own can be changed.
ALTER TABLE groups
    -- How often it was. A group of which it was keeps its own stream, also where it has neither policy nor format any more.
    ADD COLUMN policy_version bigint NOT NULL DEFAULT 0;

ALTER TABLE derivations
    -- Under which policy the mark was written.
    ADD COLUMN policy_version bigint NOT NULL DEFAULT 0;
