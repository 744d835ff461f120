CREATE OR REPLACE FUNCTION rowcast.tell_ddl() RETURNS event_trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $rowcast$
DECLARE
    told text;
    told_id bigint;
BEGIN
    told := json_build_object(
        'command', tg_tag,
        'object_type', '',
        'object', '',
        'text', left(coalesce(current_query(), ''), {text_limit}),
        'user', session_user,
        'dropped', left(tg_tag, 4) = 'DROP',
        'rewritten', false,
        'schema', NULL,
        'table', NULL)::text;
    {emit}
EXCEPTION WHEN OTHERS THEN
    -- Nobody's command fails because it cannot be told.
    RAISE WARNING 'rowcast: a schema change is not told: %', SQLERRM;
END
$rowcast$;
