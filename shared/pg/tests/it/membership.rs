//! A publication that was changed is not what it was, even if it was changed back.

use rowcast_domain::TableName;
use rowcast_pg::publication::{self, Changed, Memberships, Selection};

use crate::source::{MAJORS, Source};

const NAME: &str = "rowcast_1";

async fn fingerprint(source: &Source) -> Option<String> {
    publication::fingerprint(&source.client, NAME, source.version)
        .await
        .unwrap()
}

async fn memberships(source: &Source) -> Memberships {
    publication::memberships(&source.client, NAME, source.version)
        .await
        .unwrap()
        .unwrap()
}

/// What happened since `then`.
async fn compared(source: &Source, then: &Memberships) -> Result<(), Changed> {
    let now = memberships(source).await;
    let existing = publication::existing(&source.client, then).await.unwrap();
    then.kept(&now, &existing)
}

fn oid_of(memberships: &Memberships, index: usize) -> u32 {
    *memberships.tables.keys().nth(index).unwrap()
}

async fn create(source: &Source, selection: &Selection) {
    publication::create(&source.client, NAME, selection, &["insert"], source.version)
        .await
        .unwrap();
}

fn listing(tables: &[TableName]) -> Selection {
    Selection::Tables(tables.to_vec())
}

#[tokio::test]
async fn a_list_of_tables_is_kept_only_when_nobody_alters_it() {
    for major in MAJORS {
        let source = Source::start(major).await;
        source
            .run(
                "CREATE TABLE public.a (id integer PRIMARY KEY);
                 CREATE TABLE public.b (id integer PRIMARY KEY);
                 CREATE TABLE public.c (id integer PRIMARY KEY)",
            )
            .await;
        assert_eq!(fingerprint(&source).await, None);
        let tables = ["a", "b"].map(|table| TableName::new("public", table));
        create(&source, &Selection::Tables(tables.to_vec())).await;
        let first = memberships(&source).await;
        let print = fingerprint(&source).await;
        assert_eq!(first.to_string().parse(), Ok(first.clone()));
        source
            .run("ALTER TABLE public.a ADD x integer; ALTER TABLE public.b RENAME TO d")
            .await;
        assert_eq!(fingerprint(&source).await, print);
        assert_eq!(compared(&source, &first).await, Ok(()));

        let (a, client) = (tables.get(..1).unwrap(), &source.client);
        publication::remove(client, NAME, &listing(a))
            .await
            .unwrap();
        let lost = Changed::Table(oid_of(&first, 0));
        assert_eq!(compared(&source, &first).await, Err(lost), "{major}");
        publication::add(client, NAME, &listing(a)).await.unwrap();
        assert_ne!(fingerprint(&source).await, print);
        assert_eq!(compared(&source, &first).await, Err(lost), "{major}");

        let second = memberships(&source).await;
        source
            .run("ALTER PUBLICATION rowcast_1 SET (publish = 'delete')")
            .await;
        source
            .run("ALTER PUBLICATION rowcast_1 SET (publish = 'insert')")
            .await;
        assert_eq!(compared(&source, &second).await, Err(Changed::Publication));

        let third = memberships(&source).await;
        let print = fingerprint(&source).await;
        source.run("DROP TABLE public.a").await;
        assert_ne!(fingerprint(&source).await, print);
        assert_eq!(compared(&source, &third).await, Ok(()), "{major}");
        source
            .run("CREATE TABLE public.a (id integer PRIMARY KEY)")
            .await;
        publication::add(client, NAME, &listing(a)).await.unwrap();
        // What is published beside takes nothing away.
        assert_eq!(compared(&source, &third).await, Ok(()), "{major}");
    }
}

#[tokio::test]
async fn tables_come_and_go_under_a_publication_of_all() {
    for major in MAJORS {
        let source = Source::start(major).await;
        source
            .run("CREATE SCHEMA app; CREATE TABLE app.a (id integer)")
            .await;
        create(&source, &Selection::AllTables).await;
        let (first, print) = (memberships(&source).await, fingerprint(&source).await);
        source
            .run("CREATE TABLE app.b (id integer); DROP TABLE app.a; DROP SCHEMA app CASCADE")
            .await;
        assert_eq!(fingerprint(&source).await, print);
        assert_eq!(memberships(&source).await, first);
        publication::drop(&source.client, NAME).await.unwrap();
        create(&source, &Selection::AllTables).await;
        assert_eq!(compared(&source, &first).await, Err(Changed::Publication));
    }
}

#[tokio::test]
async fn a_schema_taken_off_and_put_on_again_is_a_change_and_a_dropped_one_is_none() {
    for major in [17, 18] {
        let source = Source::start(major).await;
        source.run("CREATE SCHEMA app; CREATE SCHEMA two").await;
        let schemas = ["app", "two"].map(str::to_owned).to_vec();
        create(&source, &Selection::Schemas(schemas)).await;
        let (first, print) = (memberships(&source).await, fingerprint(&source).await);
        source.run("CREATE TABLE app.a (id integer)").await;
        assert_eq!(fingerprint(&source).await, print);
        source.run("DROP SCHEMA two").await;
        assert_ne!(fingerprint(&source).await, print);
        assert_eq!(compared(&source, &first).await, Ok(()));
        source
            .run(
                "ALTER PUBLICATION rowcast_1 DROP TABLES IN SCHEMA app;
                 ALTER PUBLICATION rowcast_1 ADD TABLES IN SCHEMA app",
            )
            .await;
        let app = *first.schemas.keys().next().unwrap();
        assert_eq!(compared(&source, &first).await, Err(Changed::Schema(app)));
    }
}

#[tokio::test]
async fn listed_tables_are_those_that_were_put_on_the_list() {
    for major in MAJORS {
        let source = Source::start(major).await;
        source
            .run(
                "CREATE TABLE public.p (id integer) PARTITION BY RANGE (id);
                 CREATE TABLE public.\"P 1\" PARTITION OF public.p FOR VALUES FROM (0) TO (9);
                 CREATE TABLE public.a (id integer)",
            )
            .await;
        let table = |name: &str| TableName::new("public", name);
        create(&source, &Selection::Tables(vec![table("a")])).await;
        let client = &source.client;
        let listed = async || {
            let listed = publication::listed_tables(client, NAME).await.unwrap();
            listed
                .into_iter()
                .map(|(_, name)| name.table)
                .collect::<Vec<_>>()
        };
        // Before 13 only the partitions can be published.
        let second = if major < 13 { "P 1" } else { "p" };
        publication::add(client, NAME, &listing(&[table(second)]))
            .await
            .unwrap();
        let mut expected = vec!["a", second];
        expected.sort_unstable();
        let mut found = listed().await;
        found.sort_unstable();
        assert_eq!(found, expected, "{major}");
        publication::remove(client, NAME, &listing(&[table("a"), table(second)]))
            .await
            .unwrap();
        assert!(listed().await.is_empty());
    }
}

#[tokio::test]
async fn whoever_decodes_finds_the_publication_before_and_after_it_is_replaced() {
    for major in MAJORS {
        let source = Source::start(major).await;
        let (client, version) = (&source.client, source.version);
        source
            .run(
                "CREATE TABLE public.a (id integer PRIMARY KEY);
                 CREATE TABLE public.b (id integer PRIMARY KEY)",
            )
            .await;
        let table = |name: &str| Selection::Tables(vec![TableName::new("public", name)]);
        let replace = async |selection: &Selection| {
            publication::replace(client, NAME, selection, &["insert"], version).await
        };
        replace(&table("a")).await.unwrap();
        source
            .run("SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
            .await;
        let both = "INSERT INTO public.a SELECT max(id) + 1 FROM public.a HAVING max(id) > 0;
                    INSERT INTO public.a SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM public.a);
                    INSERT INTO public.b SELECT count(*) FROM public.b";
        source.run(both).await;
        let then = memberships(&source).await;
        replace(&table("b")).await.unwrap();
        source.run(both).await;
        assert_eq!(compared(&source, &then).await, Err(Changed::Publication));
        assert!(replace(&table("missing")).await.is_err());
        let state = publication::find(client, NAME).await.unwrap().unwrap();
        assert_eq!(state.tables, [TableName::new("public", "b")]);
        assert!(state.ours);
        source.run(both).await;

        let rows = client
            .query(
                "SELECT chr(get_byte(data, 0))
                 FROM pg_logical_slot_get_binary_changes('s', NULL, NULL, 'proto_version', '1',
                                                         'publication_names', 'rowcast_1')
                 WHERE get_byte(data, 0) IN (ascii('R'), ascii('I'))",
                &[],
            )
            .await
            .unwrap();
        let frames: String = rows.iter().map(|row| row.get::<_, &str>(0)).collect();
        // One row of `a`, then two of `b`; a relation stands before its first row, and is repeated
        // where the server has forgotten that it told it.
        assert_eq!(frames.replace('R', ""), "III", "{major}");
    }
}
