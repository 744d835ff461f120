CREATE OR REPLACE FUNCTION rowcast.tell_ddl() RETURNS event_trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $rowcast$
DECLARE
    told text;
    told_id bigint;
    submitted text;
    was_rewritten boolean;
BEGIN
    -- Both settings end with the transaction, and with the savepoint to which a failure goes back.
    IF tg_event = 'ddl_command_start' THEN
        -- Only of CREATE and ALTER EXTENSION: sql_drop does not tell who dropped, a user or a script.
        PERFORM set_config('rowcast.in_extension', 'yes', true);
        RETURN;
    ELSIF tg_event = 'table_rewrite' THEN
        PERFORM set_config('rowcast.rewritten', 'yes', true);
        RETURN;
    END IF;

    -- Bounded, because every command of a submission repeats the whole of it.
    submitted := left(coalesce(current_query(), ''), {text_limit});

    IF tg_event = 'sql_drop' THEN
        -- What an ALTER drops is told as that ALTER.
        IF left(tg_tag, 4) <> 'DROP' THEN
            RETURN;
        END IF;
        -- Not by current_setting(name, true), which 9.5 lacks.
        BEGIN
            IF current_setting('rowcast.in_extension') = 'yes' THEN
                RETURN;
            END IF;
        EXCEPTION WHEN undefined_object THEN
            NULL; -- Not set in this session.
        END;
        FOR told IN
            SELECT json_build_object(
                       'command', tg_tag,
                       'object_type', d.object_type,
                       'object', coalesce(d.object_identity, ''),
                       'text', submitted,
                       'user', session_user,
                       'dropped', true,
                       'rewritten', false,
                       'schema', d.schema_name,
                       'table', d.table_name)::text
            FROM (SELECT o.object_type,
                         o.object_identity,
                         o.original,
                         o.is_temporary,
                         CASE
                             WHEN o.object_type = 'schema'
                             THEN o.object_name
                             -- A trigger, rule, policy or constraint is in the schema of its table.
                             WHEN o.schema_name IS NULL AND cardinality(o.address_names) = 3
                             THEN o.address_names[1]
                             ELSE o.schema_name
                         END AS schema_name,
                         CASE
                             WHEN o.object_type IN ('table', 'foreign table', 'table column',
                                                    'default value', 'table constraint', 'trigger',
                                                    'rule', 'policy')
                             THEN o.address_names[2]
                         END AS table_name
                  FROM pg_event_trigger_dropped_objects() AS o) AS d
            WHERE (d.original OR d.object_type IN ('table', 'foreign table'))
              AND NOT d.is_temporary
              AND left(coalesce(d.schema_name, ''), 7) <> 'pg_temp'
              AND coalesce(d.schema_name, '') <> 'rowcast'
              AND left(d.object_type, 11) <> 'publication'
              AND d.object_type <> 'subscription'
        LOOP
            {emit}
        END LOOP;
        {pad}
        RETURN;
    END IF;

    BEGIN
        was_rewritten := current_setting('rowcast.rewritten') = 'yes';
    EXCEPTION WHEN undefined_object THEN
        was_rewritten := false; -- Not set in this session.
    END;
    IF was_rewritten THEN
        PERFORM set_config('rowcast.rewritten', '', true);
    END IF;
    IF tg_tag IN ('CREATE EXTENSION', 'ALTER EXTENSION') THEN
        PERFORM set_config('rowcast.in_extension', '', true);
    END IF;
    FOR told IN
        SELECT json_build_object(
                   'command', c.command_tag,
                   'object_type', c.object_type,
                   'object', coalesce(c.object_identity, ''),
                   'text', submitted,
                   'user', session_user,
                   'dropped', false,
                   'rewritten', was_rewritten AND c.command_tag = tg_tag,
                   'schema', coalesce(s.nspname, n.nspname, c.schema_name),
                   'table', CASE WHEN r.relkind IN ('r', 'p', 'f') THEN r.relname END)::text
        FROM pg_event_trigger_ddl_commands() AS c
        LEFT JOIN pg_namespace AS s
          ON c.classid = 'pg_namespace'::regclass
         AND s.oid = c.objid
        -- The relation that the object is, or belongs to.
        LEFT JOIN pg_class AS r
          ON r.oid = CASE c.classid
                     WHEN 'pg_class'::regclass
                     THEN coalesce((SELECT i.indrelid FROM pg_index AS i WHERE i.indexrelid = c.objid),
                                   c.objid)
                     WHEN 'pg_attrdef'::regclass
                     THEN (SELECT a.adrelid FROM pg_attrdef AS a WHERE a.oid = c.objid)
                     WHEN 'pg_constraint'::regclass
                     THEN (SELECT k.conrelid FROM pg_constraint AS k WHERE k.oid = c.objid)
                     WHEN 'pg_policy'::regclass
                     THEN (SELECT p.polrelid FROM pg_policy AS p WHERE p.oid = c.objid)
                     WHEN 'pg_rewrite'::regclass
                     THEN (SELECT w.ev_class FROM pg_rewrite AS w WHERE w.oid = c.objid)
                     WHEN 'pg_trigger'::regclass
                     THEN (SELECT t.tgrelid FROM pg_trigger AS t WHERE t.oid = c.objid)
                     END
        LEFT JOIN pg_namespace AS n
          ON n.oid = r.relnamespace
        WHERE NOT c.in_extension
          AND coalesce(r.relpersistence, 'p') <> 't'
          AND left(coalesce(c.schema_name, ''), 7) <> 'pg_temp'
          AND coalesce(s.nspname, n.nspname, c.schema_name, '') <> 'rowcast'
          AND left(c.object_type, 11) <> 'publication'
          AND c.object_type <> 'subscription'
    LOOP
        {emit}
    END LOOP;
    {pad}
EXCEPTION WHEN OTHERS THEN
    -- Nobody's command fails because it cannot be told.
    RAISE WARNING 'rowcast: a schema change is not told: %', SQLERRM;
END
$rowcast$;
