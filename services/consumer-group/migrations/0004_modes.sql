-- How the members of a group share its changes, and how many key partitions its task has.
ALTER TABLE groups
    ADD COLUMN mode       text NOT NULL DEFAULT 'ordered' CHECK (mode IN ('ordered', 'keyed', 'shared')),
    ADD COLUMN partitions integer NOT NULL DEFAULT 0 CHECK (partitions BETWEEN 0 AND 256);

-- Members of keyed and ordered groups, as long as they ask.
CREATE TABLE members (
    group_id  text NOT NULL REFERENCES groups,
    -- The member's own name for itself.
    id        text NOT NULL,
    joined_at timestamptz NOT NULL,
    -- When it asked last.
    heard_at  timestamptz NOT NULL,
    PRIMARY KEY (group_id, id)
);

-- What members hold: of a keyed group a partition, of an ordered group all of it. Named by the consumer.
CREATE TABLE shares (
    group_id text NOT NULL REFERENCES groups,
    consumer text NOT NULL,
    -- Who holds it; nobody where absent.
    holder   text,
    -- Counts how often it was given to somebody.
    epoch    bigint NOT NULL DEFAULT 0,
    -- Whether what its last holder was sent must come again at once.
    is_left  boolean NOT NULL DEFAULT false,
    PRIMARY KEY (group_id, consumer),
    FOREIGN KEY (group_id, holder) REFERENCES members (group_id, id)
);
