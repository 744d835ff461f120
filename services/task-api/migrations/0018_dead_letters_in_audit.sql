-- Changes that consumer-group has put away by itself stand in the audit log too: between which sequences of the stream that the
-- group reads.
ALTER TABLE audit
    ADD COLUMN first_sequence bigint,
    ADD COLUMN last_sequence  bigint;
