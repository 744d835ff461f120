DO $rowcast$
DECLARE
    trigger_name name;
BEGIN
    -- The triggers first: what follows is no change to tell.
    FOR trigger_name IN
        SELECT e.evtname
        FROM pg_catalog.pg_event_trigger AS e
        WHERE pg_catalog.left(e.evtname::text, 8) = 'rowcast_'
          AND pg_catalog.obj_description(e.oid, 'pg_event_trigger') = '{marker}'
    LOOP
        EXECUTE pg_catalog.format('DROP EVENT TRIGGER %I', trigger_name);
    END LOOP;
    IF EXISTS (SELECT 1
               FROM pg_catalog.pg_proc AS p
               JOIN pg_catalog.pg_namespace AS n
                 ON n.oid = p.pronamespace
               WHERE n.nspname = 'rowcast'
                 AND p.proname = 'tell_ddl'
                 AND p.pronargs = 0
                 AND pg_catalog.strpos(pg_catalog.obj_description(p.oid, 'pg_proc'), '{marker}') = 1)
    THEN
        DROP FUNCTION rowcast.tell_ddl();
    END IF;
    -- Before 10 there is no such catalog; this is parsed where it is run.
    IF pg_catalog.current_setting('server_version_num')::integer >= 100000 THEN
        IF EXISTS (SELECT 1
                   FROM pg_catalog.pg_publication AS p
                   WHERE p.pubname = 'rowcast_ddl'
                     AND pg_catalog.obj_description(p.oid, 'pg_publication') = '{marker}')
        THEN
            DROP PUBLICATION rowcast_ddl;
        END IF;
    END IF;
    IF EXISTS (SELECT 1
               FROM pg_catalog.pg_class AS c
               JOIN pg_catalog.pg_namespace AS n
                 ON n.oid = c.relnamespace
               WHERE n.nspname = 'rowcast'
                 AND c.relname = 'ddl_log'
                 AND pg_catalog.obj_description(c.oid, 'pg_class') = '{marker}')
    THEN
        DROP TABLE rowcast.ddl_log;
    END IF;
    IF EXISTS (SELECT 1
               FROM pg_catalog.pg_namespace AS n
               WHERE n.nspname = 'rowcast'
                 AND pg_catalog.obj_description(n.oid, 'pg_namespace') = '{marker}')
    THEN
        BEGIN
            DROP SCHEMA rowcast;
        EXCEPTION WHEN dependent_objects_still_exist THEN
            RAISE NOTICE 'schema rowcast stays, for it holds objects that are not Rowcast''s';
        END;
    END IF;
END
$rowcast$;
