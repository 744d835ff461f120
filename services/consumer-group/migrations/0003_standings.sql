-- How it is with each group, beside what is wanted of it.
CREATE TABLE standings (
    group_id      text PRIMARY KEY REFERENCES groups,
    -- Number of the last move of its position; what was seen of it before that move says nothing any more.
    generation    bigint NOT NULL DEFAULT 0,
    -- Number of the last move that consumers were told of.
    announced     bigint NOT NULL DEFAULT 0,
    -- What it is to be sent next; absent where the last move was carried out.
    next_sequence bigint,
    -- Who wished the last move.
    moved_by      text NOT NULL DEFAULT '',
    -- Whether what it has not read is still there: ok, warning, gap; and why not, in a sentence.
    state         text NOT NULL DEFAULT 'ok',
    reason        text NOT NULL DEFAULT '',
    -- What its consumers looked like last, by name.
    seen          jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX standings_moving ON standings (group_id) WHERE next_sequence IS NOT NULL;

-- How it was with each group, every 30 s; after a day, every 5 minutes.
CREATE TABLE samples (
    group_id              text NOT NULL REFERENCES groups,
    at                    timestamptz NOT NULL,
    -- Whether it is left after a day.
    is_coarse             boolean NOT NULL,
    acknowledged_sequence bigint NOT NULL,
    unread                bigint NOT NULL,
    in_flight             bigint NOT NULL,
    delay_seconds         bigint NOT NULL,
    -- Absent where NATS did not tell.
    members               bigint,
    PRIMARY KEY (group_id, at)
);
CREATE INDEX samples_fine ON samples (at) WHERE NOT is_coarse;
CREATE INDEX samples_oldest ON samples (at);
