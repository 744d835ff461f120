//! The event triggers come and go as a whole, and break nobody's commands.

use rowcast_domain::TableName;
use rowcast_pg::ddl_trigger::{self, Permission, TriggerState};
use rowcast_pg::publication;

use crate::source::{MAJORS, Source};

async fn state(source: &Source) -> TriggerState {
    ddl_trigger::state(&source.client, source.version)
        .await
        .unwrap()
}

async fn left_over(source: &Source) -> i64 {
    let count = "SELECT (SELECT count(*) FROM pg_event_trigger)
                      + (SELECT count(*) FROM pg_namespace WHERE nspname = 'rowcast')";
    source.client.query_one(count, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn what_is_missing_changed_or_disabled_is_seen_and_repaired() {
    for major in MAJORS {
        let source = Source::start(major).await;
        let (client, version) = (&source.client, source.version);
        assert_eq!(state(&source).await, TriggerState::Missing);
        let other = source.postgres.client("postgres").await.unwrap();
        let (one, two) = futures::join!(
            ddl_trigger::install(client, version),
            ddl_trigger::install(&other, version)
        );
        one.and(two).unwrap();
        assert_eq!(state(&source).await, TriggerState::Installed, "{major}");
        for (harm, expected) in [
            (
                "ALTER EVENT TRIGGER rowcast_sql_drop DISABLE",
                TriggerState::Disabled,
            ),
            (
                "ALTER EVENT TRIGGER rowcast_ddl_command_end ENABLE REPLICA",
                TriggerState::Disabled,
            ),
            (
                "COMMENT ON FUNCTION rowcast.tell_ddl() IS 'of another version'",
                TriggerState::Outdated,
            ),
            (
                "DROP EVENT TRIGGER rowcast_table_rewrite",
                TriggerState::Outdated,
            ),
            (
                "DROP FUNCTION rowcast.tell_ddl() CASCADE",
                TriggerState::Missing,
            ),
        ] {
            source.run(harm).await;
            assert_eq!(state(&source).await, expected, "{major}: {harm}");
            ddl_trigger::install(client, version).await.unwrap();
            assert_eq!(state(&source).await, TriggerState::Installed, "{major}");
        }
        if major >= 17 {
            source.run("SET event_triggers = off").await;
            assert_eq!(state(&source).await, TriggerState::Disabled);
            source.run("RESET event_triggers").await;
        }
        ddl_trigger::uninstall(client).await.unwrap();
        assert_eq!(state(&source).await, TriggerState::Missing);
        assert_eq!(left_over(&source).await, 0, "{major}");
        ddl_trigger::uninstall(client).await.unwrap();
    }
}

#[tokio::test]
async fn a_user_can_run_the_statements_twice_and_take_them_back() {
    for major in MAJORS {
        let source = Source::start(major).await;
        for _ in 0..2 {
            source.run(&ddl_trigger::install_sql(source.version)).await;
            assert_eq!(state(&source).await, TriggerState::Installed, "{major}");
        }
        for _ in 0..2 {
            source.run(&ddl_trigger::uninstall_sql()).await;
            assert_eq!(left_over(&source).await, 0, "{major}");
        }
    }
}

#[tokio::test]
async fn objects_of_others_stay() {
    let source = Source::start(18).await;
    ddl_trigger::install(&source.client, source.version)
        .await
        .unwrap();
    source
        .run(
            "CREATE TABLE rowcast.of_a_user (x integer);
             CREATE FUNCTION public.other() RETURNS event_trigger LANGUAGE plpgsql
                 AS 'BEGIN END';
             CREATE EVENT TRIGGER rowcast_like ON sql_drop EXECUTE FUNCTION public.other()",
        )
        .await;
    ddl_trigger::uninstall(&source.client).await.unwrap();
    assert_eq!(state(&source).await, TriggerState::Missing);
    assert_eq!(left_over(&source).await, 2);
    source.run("INSERT INTO rowcast.of_a_user VALUES (1)").await;
}

#[tokio::test]
async fn a_schema_that_another_role_could_change_is_refused() {
    for major in MAJORS {
        let source = Source::start(major).await;
        source
            .run("CREATE ROLE mallory; CREATE SCHEMA rowcast AUTHORIZATION mallory")
            .await;
        let refused = ddl_trigger::install(&source.client, source.version).await;
        assert_eq!(refused.unwrap_err().sqlstate(), Some("42501"), "{major}");
        assert_eq!(state(&source).await, TriggerState::Missing);
    }
}

#[tokio::test]
async fn a_function_that_fails_breaks_no_command() {
    for major in MAJORS {
        let source = Source::start(major).await;
        ddl_trigger::install(&source.client, source.version)
            .await
            .unwrap();
        // Before 14 this role may not write the table, since then not the message.
        source
            .run(
                "CREATE ROLE weak;
                 DO $$
                 DECLARE
                     f regprocedure;
                 BEGIN
                     FOR f IN SELECT oid FROM pg_proc WHERE proname = 'pg_logical_emit_message' LOOP
                         EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f);
                     END LOOP;
                 END $$;
                 ALTER FUNCTION rowcast.tell_ddl() OWNER TO weak",
            )
            .await;
        source.told().await;
        source
            .run(
                "CREATE TABLE public.t (x integer);
                 ALTER TABLE public.t ALTER x TYPE bigint;
                 INSERT INTO public.t VALUES (1);
                 DROP TABLE public.t",
            )
            .await;
        assert!(source.told().await.is_empty(), "{major}");
        let refused = ddl_trigger::install(&source.client, source.version).await;
        assert_eq!(refused.unwrap_err().sqlstate(), Some("42501"), "{major}");
    }
}

#[tokio::test]
async fn only_trying_tells_whether_an_administrator_of_a_hosted_server_may_install() {
    let source = Source::start(18).await;
    let may = async |client| ddl_trigger::can_install(client).await.unwrap();
    assert_eq!(may(&source.client).await, Permission::Yes);
    let plain = source.client_of("plain", "").await;
    assert_eq!(may(&plain).await, Permission::No);
    let refused = ddl_trigger::install(&plain, source.version).await;
    assert_eq!(refused.unwrap_err().sqlstate(), Some("42501"));
    assert_eq!(state(&source).await, TriggerState::Missing);
    source.run("CREATE ROLE rds_superuser").await;
    let hosted = source.client_of("hosted", "IN ROLE rds_superuser").await;
    assert_eq!(may(&hosted).await, Permission::Maybe);
}

#[tokio::test]
async fn slots_and_publications_of_other_tasks_in_this_database_are_seen() {
    let source = Source::start(18).await;
    let others = async || {
        ddl_trigger::other_tasks(&source.client, "rowcast_a", source.version)
            .await
            .unwrap()
    };
    source.run("CREATE DATABASE other").await;
    let make = "SELECT pg_create_logical_replication_slot";
    source
        .run(&format!(
            "{make}('rowcast_a', 'pgoutput');
             {make}('rowcastx', 'pgoutput')"
        ))
        .await;
    let elsewhere = source.postgres.client("other").await.unwrap();
    elsewhere
        .batch_execute(&format!("{make}('rowcast_b', 'pgoutput')"))
        .await
        .unwrap();
    source
        .run("CREATE PUBLICATION rowcast_a; CREATE PUBLICATION rowcast_ddl")
        .await;
    assert!(!others().await);
    source
        .run(&format!("{make}('rowcast_c', 'pgoutput')"))
        .await;
    assert!(others().await);
    source
        .run("SELECT pg_drop_replication_slot('rowcast_c')")
        .await;
    assert!(!others().await);
    source.run("CREATE PUBLICATION rowcast_c").await;
    assert!(others().await);
}

#[tokio::test]
async fn the_log_publication_tells_the_events_and_not_their_removal() {
    let source = Source::start(10).await;
    let client = &source.client;
    ddl_trigger::install(client, source.version).await.unwrap();
    let log = ddl_trigger::LOG_PUBLICATION;
    for _ in 0..2 {
        assert_eq!(state(&source).await, TriggerState::Installed);
        let found = publication::find(client, log).await.unwrap();
        let found = found.unwrap();
        assert_eq!(found.publish, ["insert"]);
        assert_eq!(found.tables, [TableName::new("rowcast", "ddl_log")]);
        source
            .run("ALTER PUBLICATION rowcast_ddl SET (publish = 'insert, delete')")
            .await;
        assert_eq!(state(&source).await, TriggerState::Outdated);
        ddl_trigger::ensure(client, source.version).await.unwrap();
    }
    source
        .run("SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
        .await;
    source.run("CREATE TABLE public.t (x integer)").await;
    let rows = client
        .query(
            "SELECT chr(get_byte(data, 0))
             FROM pg_logical_slot_get_binary_changes('s', NULL, NULL, 'proto_version', '1',
                                                     'publication_names', 'rowcast_ddl')",
            &[],
        )
        .await
        .unwrap();
    let frames: String = rows.iter().map(|row| row.get::<_, &str>(0)).collect();
    assert_eq!(frames, "BRIC");
    let count = "SELECT count(*) FROM rowcast.ddl_log";
    let rows: i64 = client.query_one(count, &[]).await.unwrap().get(0);
    assert_eq!(rows, 0);
}
