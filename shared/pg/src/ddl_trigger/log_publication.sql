DO $rowcast$
BEGIN
    IF EXISTS (SELECT 1
               FROM pg_catalog.pg_publication AS p
               WHERE p.pubname = 'rowcast_ddl'
                 AND pg_catalog.obj_description(p.oid, 'pg_publication') = '{marker}')
    THEN
        DROP PUBLICATION rowcast_ddl;
    END IF;
    CREATE PUBLICATION rowcast_ddl FOR TABLE rowcast.ddl_log WITH (publish = 'insert');
    COMMENT ON PUBLICATION rowcast_ddl IS '{marker}';
END
$rowcast$;
