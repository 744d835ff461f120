-- Two more formats of groups.
ALTER TABLE groups
    DROP CONSTRAINT groups_format_check,
    ADD CONSTRAINT groups_format_check
        CHECK (format IN ('json', 'debezium', 'cloudevents', 'protobuf', 'avro'));
