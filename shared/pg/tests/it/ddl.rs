//! What the event triggers tell of schema changes.

use rowcast_pg::ddl_trigger;
use serde_json::Value;

use crate::source::{MAJORS, Source, event};

/// A source whose triggers are installed, read up to here.
async fn installed(major: u32) -> Source {
    let source = Source::start(major).await;
    ddl_trigger::install(&source.client, source.version)
        .await
        .unwrap();
    assert!(source.told().await.is_empty());
    source
}

/// A command and what is told of it.
const COMMANDS: &[(&str, &str)] = &[
    (
        "ALTER TABLE public.t ADD c integer",
        "ALTER TABLE: table public.t (public t)",
    ),
    (
        "ALTER TABLE public.t RENAME \"A b\" TO \"B'c\"",
        "ALTER TABLE: table column public.t.\"B'c\" (public t)",
    ),
    (
        "ALTER TABLE public.t ALTER c TYPE bigint",
        "ALTER TABLE: table public.t (public t) rewritten",
    ),
    (
        "ALTER TABLE public.t ADD CONSTRAINT positive CHECK (c > 0)",
        "ALTER TABLE: table public.t (public t)",
    ),
    (
        "ALTER TABLE public.t DROP COLUMN c",
        "ALTER TABLE: table public.t (public t)",
    ),
    (
        "ALTER TABLE public.t RENAME TO \"T\"",
        "ALTER TABLE: table public.\"T\" (public T)",
    ),
    (
        "COMMENT ON CONSTRAINT t_pkey ON public.\"T\" IS 'key'",
        "COMMENT: table constraint t_pkey on public.\"T\" (public T)",
    ),
    (
        "CREATE INDEX CONCURRENTLY i ON public.\"T\" (\"B'c\")",
        "CREATE INDEX: index public.i (public T)",
    ),
    (
        "ALTER INDEX public.i RENAME TO j",
        "ALTER INDEX: index public.j (public T)",
    ),
    // The catalog has forgotten whose index it was.
    (
        "DROP INDEX public.j",
        "DROP INDEX: index public.j (public -) dropped",
    ),
    (
        "CREATE RULE r AS ON DELETE TO public.\"T\" DO ALSO NOTHING",
        "CREATE RULE: rule r on public.\"T\" (public T)",
    ),
    (
        "DROP RULE r ON public.\"T\"",
        "DROP RULE: rule r on public.\"T\" (public T) dropped",
    ),
    (
        "CREATE POLICY p ON public.\"T\"",
        "CREATE POLICY: policy p on public.\"T\" (public T)",
    ),
    (
        "CREATE VIEW public.v AS SELECT 1",
        "CREATE VIEW: view public.v (public -)",
    ),
    // PostgreSQL does not say on what.
    ("GRANT SELECT ON public.v TO PUBLIC", "GRANT: TABLE  (- -)"),
    (
        "DROP TABLE public.\"T\"",
        "DROP TABLE: table public.\"T\" (public T) dropped",
    ),
];

#[tokio::test]
async fn each_command_is_told_with_its_object_and_table() {
    for major in MAJORS {
        let source = installed(major).await;
        let tell = async |statements: &str| {
            source.run(statements).await;
            source.told().await
        };
        assert_eq!(
            tell("CREATE TABLE public.t (id integer PRIMARY KEY, \"A b\" text)").await,
            [
                "CREATE TABLE: table public.t (public t)",
                "CREATE INDEX: index public.t_pkey (public t)",
            ],
            "{major}"
        );
        for (statement, expected) in COMMANDS {
            assert_eq!(tell(statement).await, [*expected], "{major}: {statement}");
        }
    }
}

#[tokio::test]
async fn dropped_tables_are_told_by_whatever_way_they_go() {
    for major in MAJORS {
        let source = installed(major).await;
        source
            .run(
                "CREATE SCHEMA app
                     CREATE TABLE a (id integer PRIMARY KEY)
                     CREATE VIEW v AS SELECT id FROM a;
                 CREATE TABLE app.p (id integer) PARTITION BY RANGE (id);
                 CREATE TABLE app.p_1 PARTITION OF app.p FOR VALUES FROM (0) TO (9)",
            )
            .await;
        let created = source.told().await;
        assert_eq!(
            created.first().unwrap(),
            "CREATE SCHEMA: schema app (app -)"
        );
        assert_eq!(
            created.last().unwrap(),
            "CREATE TABLE: table app.p_1 (app p_1)"
        );
        source.run("DROP TABLE app.p").await;
        let mut dropped = source.told().await;
        dropped.sort();
        assert_eq!(
            dropped,
            [
                "DROP TABLE: table app.p (app p) dropped",
                "DROP TABLE: table app.p_1 (app p_1) dropped",
            ],
            "{major}"
        );
        source.run("DROP SCHEMA app CASCADE").await;
        assert_eq!(
            source.told().await,
            [
                "DROP SCHEMA: schema app (app -) dropped",
                "DROP SCHEMA: table app.a (app a) dropped",
            ],
            "{major}"
        );
    }
}

#[tokio::test]
async fn every_command_of_a_submission_is_told_with_all_of_its_text() {
    for major in MAJORS {
        let source = installed(major).await;
        let submission = "CREATE TABLE public.a (x integer); INSERT INTO public.a VALUES (1);
             DO $$ BEGIN EXECUTE 'CREATE TABLE public.\"b''\" (x integer)'; END $$;
             CREATE FUNCTION public.make() RETURNS void LANGUAGE sql
                 AS 'CREATE TABLE public.c (x integer)'";
        source.run(submission).await;
        let events = source.events().await;
        let objects: Vec<&Value> = events.iter().map(|event| &event["object"]).collect();
        assert_eq!(
            objects,
            ["public.a", "public.\"b'\"", "public.make()"],
            "{major}"
        );
        for event in &events {
            assert_eq!(event["text"], submission);
            assert_eq!(event["user"], "postgres");
        }
        source.run("SELECT public.make()").await;
        let [event] = source.events().await.try_into().unwrap();
        assert_eq!(event["command"], "CREATE TABLE");
        assert_eq!(event["object"], "public.c");
        assert_eq!(event["text"], "SELECT public.make()");
    }
}

#[tokio::test]
async fn events_stand_between_the_rows_that_they_separate() {
    for major in MAJORS {
        let source = installed(major).await;
        source
            .run(
                "CREATE TABLE public.a (x integer);
                 INSERT INTO public.a VALUES (1);
                 ALTER TABLE public.a ADD y integer;
                 INSERT INTO public.a VALUES (2);
                 DO $$ BEGIN
                     BEGIN
                         ALTER TABLE public.a RENAME y TO z;
                     EXCEPTION WHEN division_by_zero THEN
                         NULL;
                     END;
                     INSERT INTO public.a VALUES (3);
                     DROP TABLE public.a;
                     CREATE TABLE public.a (w integer);
                     INSERT INTO public.a VALUES (4);
                 END $$",
            )
            .await;
        let lines = source.decoded().await;
        let order: Vec<String> = lines
            .iter()
            .filter_map(|line| match event(line) {
                Some(event) => Some(event["command"].as_str().unwrap().to_owned()),
                None => line.strip_prefix("table public.a: ").map(str::to_owned),
            })
            .collect();
        assert_eq!(
            order,
            [
                "CREATE TABLE",
                "INSERT: x[integer]:1",
                "ALTER TABLE",
                "INSERT: x[integer]:2 y[integer]:null",
                "ALTER TABLE",
                "INSERT: x[integer]:3 z[integer]:null",
                "DROP TABLE",
                "CREATE TABLE",
                "INSERT: w[integer]:4",
            ],
            "{major}"
        );
    }
}

#[tokio::test]
async fn a_rewrite_marks_the_command_that_did_it_and_no_other() {
    for major in MAJORS {
        let source = installed(major).await;
        source
            .run(
                "CREATE TABLE public.a (x integer, y integer);
                 INSERT INTO public.a VALUES (1, 0);
                 CREATE TABLE public.p (id integer, x integer) PARTITION BY RANGE (id);
                 CREATE TABLE public.p_1 PARTITION OF public.p FOR VALUES FROM (0) TO (9)",
            )
            .await;
        source.told().await;
        source
            .run(
                "BEGIN;
                 ALTER TABLE public.a ALTER x TYPE bigint;
                 ALTER TABLE public.a ADD z integer;
                 ALTER TABLE public.a ALTER x TYPE integer;
                 DO $$ BEGIN
                     ALTER TABLE public.a ALTER x TYPE integer USING 1 / y;
                 EXCEPTION WHEN division_by_zero THEN
                     NULL;
                 END $$;
                 CREATE INDEX i ON public.a (x);
                 ALTER TABLE public.p ALTER x TYPE bigint;
                 COMMIT",
            )
            .await;
        assert_eq!(
            source.told().await,
            [
                "ALTER TABLE: table public.a (public a) rewritten",
                "ALTER TABLE: table public.a (public a)",
                "ALTER TABLE: table public.a (public a) rewritten",
                "CREATE INDEX: index public.i (public a)",
                "ALTER TABLE: table public.p (public p) rewritten",
            ],
            "{major}"
        );
    }
}

#[tokio::test]
async fn what_is_not_a_change_of_the_users_schema_is_silent() {
    for major in MAJORS {
        let source = installed(major).await;
        source
            .run(
                "CREATE TEMPORARY TABLE passing (id serial PRIMARY KEY, x integer);
                 CREATE INDEX ON passing (x);
                 ALTER TABLE passing ALTER x TYPE bigint;
                 COMMENT ON COLUMN passing.x IS 'x';
                 CREATE RULE r AS ON DELETE TO passing DO ALSO NOTHING;
                 DROP RULE r ON passing;
                 DROP TABLE passing;
                 CREATE PUBLICATION p FOR ALL TABLES;
                 COMMENT ON PUBLICATION p IS 'ours';
                 DROP PUBLICATION p;
                 CREATE TABLE rowcast.own (x integer PRIMARY KEY);
                 COMMENT ON SCHEMA rowcast IS 'ours';
                 DROP TABLE rowcast.own",
            )
            .await;
        assert!(source.told().await.is_empty(), "{major}");
        // Its script creates, alters and drops.
        source
            .run("CREATE EXTENSION hstore; CREATE TABLE public.h (x hstore); DROP TABLE public.h")
            .await;
        assert_eq!(
            source.told().await,
            [
                "CREATE EXTENSION: extension hstore (- -)",
                "CREATE TABLE: table public.h (public h)",
                "DROP TABLE: table public.h (public h) dropped",
            ],
            "{major}"
        );
        source
            .run("CREATE TABLE public.a (x integer); TRUNCATE public.a")
            .await;
        assert_eq!(source.told().await.len(), 1);
        source
            .run(
                "BEGIN; CREATE TABLE public.b (x integer); ROLLBACK;
                 SET session_replication_role = replica;
                 DROP TABLE public.a;
                 RESET session_replication_role",
            )
            .await;
        assert!(source.told().await.is_empty(), "{major}");
    }
}

#[tokio::test]
async fn a_role_without_rights_is_told_by_its_name() {
    for major in MAJORS {
        let source = installed(major).await;
        let plain = source.client_of("plain", "").await;
        source
            .run("CREATE SCHEMA of_plain AUTHORIZATION plain")
            .await;
        source.told().await;
        plain
            .batch_execute("CREATE TABLE of_plain.t (x integer)")
            .await
            .unwrap();
        let [event] = source.events().await.try_into().unwrap();
        assert_eq!(event["object"], "of_plain.t", "{major}");
        assert_eq!(event["user"], "plain", "{major}");
        assert!(
            plain
                .batch_execute("CREATE TABLE rowcast.x ()")
                .await
                .is_err()
        );
    }
}

#[tokio::test]
async fn a_long_submission_is_cut() {
    let source = installed(18).await;
    let long = "ä".repeat(ddl_trigger::TEXT_LIMIT as usize);
    source
        .run(&format!("CREATE TABLE public.a (); -- {long}"))
        .await;
    let [event] = source.events().await.try_into().unwrap();
    let text = event["text"].as_str().unwrap();
    assert_eq!(text.chars().count(), ddl_trigger::TEXT_LIMIT as usize);
    assert!(text.starts_with("CREATE TABLE public.a (); -- ää"));
}
