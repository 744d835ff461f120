-- Whoever owns the schema or what is in it could replace it, and would then run code in the name of
-- every role that changes a schema. So it must be ours from the start.
DO $rowcast$
DECLARE
    stranger text;
BEGIN
    SELECT r.rolname
    INTO stranger
    FROM (SELECT n.nspowner
          FROM pg_catalog.pg_namespace AS n
          WHERE n.nspname = 'rowcast'
          UNION ALL
          SELECT p.proowner
          FROM pg_catalog.pg_proc AS p
          JOIN pg_catalog.pg_namespace AS n
            ON n.oid = p.pronamespace
          WHERE n.nspname = 'rowcast'
          UNION ALL
          SELECT c.relowner
          FROM pg_catalog.pg_class AS c
          JOIN pg_catalog.pg_namespace AS n
            ON n.oid = c.relnamespace
          WHERE n.nspname = 'rowcast') AS o (owner)
    JOIN pg_catalog.pg_roles AS r
      ON r.oid = o.owner
    WHERE NOT r.rolsuper
      AND r.rolname <> CURRENT_USER
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'schema rowcast, or something in it, belongs to %', stranger
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = 'rowcast') THEN
        CREATE SCHEMA rowcast;
        COMMENT ON SCHEMA rowcast IS '{marker}';
    END IF;
END
$rowcast$;
