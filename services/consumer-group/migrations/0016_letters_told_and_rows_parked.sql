-- Dead letters that the service has put away by itself, until they are told of and some minutes more. They are told together, so that a group
-- that gives up all it reads makes few facts.
CREATE TABLE untold_letters (
    group_id    text NOT NULL REFERENCES groups,
    cause       text NOT NULL,
    -- The message of the stream that the group reads, and when that stream stored it, in nanoseconds of Unix; 0 where nobody could
    -- read it.
    sequence    bigint NOT NULL,
    stored_at   text NOT NULL,
    put_away_at timestamptz NOT NULL DEFAULT now(),
    -- It is kept for a while: what is put away once more, as after a broker that answered late, is no other letter.
    told_at     timestamptz,
    PRIMARY KEY (group_id, cause, sequence, stored_at)
);

ALTER TABLE derivations
    -- Positions of rows that are parked and stand behind what is stored in the own stream: they are not parked again, whatever
    -- time passes until it takes what follows. Those of a task's stream that was made then.
    ADD COLUMN parked_source text   NOT NULL DEFAULT '',
    ADD COLUMN parked_ahead  text[] NOT NULL DEFAULT '{}';
