-- Groups that are told changes in their own way have a stream of their own.
ALTER TABLE groups
    -- A policy of its own, and what becomes of rows that it fails on; absent for none.
    ADD COLUMN etl_script   text,
    ADD COLUMN etl_on_error text CHECK (etl_on_error IN ('park', 'drop', 'stop')),
    -- A format of its own; absent for that of the task.
    ADD COLUMN format       text CHECK (format IN ('json', 'debezium', 'cloudevents')),
    ADD CHECK ((etl_script IS NULL) = (etl_on_error IS NULL));

-- How far the own streams of groups are. What they end with says the same, until retention has removed it.
CREATE TABLE derivations (
    group_id        text PRIMARY KEY REFERENCES groups,
    state           text NOT NULL CHECK (state IN ('running', 'retrying', 'stopped')),
    -- Why it does not run, or what was lost, in a sentence.
    reason          text NOT NULL DEFAULT '',
    -- Changes that were parked.
    parked          bigint NOT NULL DEFAULT 0,
    -- When the task's stream and the own one were made: what follows is true of these two alone.
    source_made     text NOT NULL DEFAULT '',
    own_made        text NOT NULL DEFAULT '',
    -- Everything up to this message of the task's stream is in the own one, which ends there with that message.
    source_sequence bigint NOT NULL DEFAULT 0,
    own_sequence    bigint NOT NULL DEFAULT 0,
    -- How many changes of the transaction that was read last were left out, and its commit LSN.
    left_out        bigint NOT NULL DEFAULT 0,
    transaction_lsn text NOT NULL DEFAULT '0/0',
    -- Position of the last change that was read.
    position        text NOT NULL DEFAULT '0/0.0'
);
