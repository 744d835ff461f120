-- Whether retention will soon remove something that the group has not read, also where it is blocked, and how many dead letters
-- it has, with those that wait: where one of these begins or ends, that is told.
ALTER TABLE standings
    ADD COLUMN is_near_end boolean NOT NULL DEFAULT false,
    ADD COLUMN letters     bigint  NOT NULL DEFAULT 0;
UPDATE standings SET is_near_end = true WHERE state = 'warning';

-- Changes that are to be dead letters, and could not be put away: their group has as many letters as it may, or the broker
-- did not take them. nats-server tells of them once, so they wait here, and hold up no other group.
CREATE TABLE waiting_letters (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    group_id  text NOT NULL REFERENCES groups,
    -- The message of the stream that the group reads, and when that stream stored it, in nanoseconds of Unix; empty where nobody
    -- could read it yet.
    sequence  bigint NOT NULL,
    stored_at text NOT NULL,
    cause     text NOT NULL,
    -- How often it was sent.
    attempts  bigint NOT NULL,
    -- What the member said of it; empty where it said nothing.
    error     text NOT NULL,
    -- Number of what nats-server told of it.
    advisory  bigint NOT NULL,
    noted_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (group_id, sequence, stored_at)
);
