CREATE TABLE IF NOT EXISTS rowcast.ddl_log (
    id bigserial PRIMARY KEY,
    payload text NOT NULL
);
COMMENT ON TABLE rowcast.ddl_log IS '{marker}';
