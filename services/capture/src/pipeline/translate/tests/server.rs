//! A server with both plugins: what `test_decoding` says, translated, is what pgoutput says.

use rowcast_testkit::Postgres;
use tokio_postgres::Client;

use super::*;

/// A transaction: id, time, end, and what it changed.
type Changed = (u32, i64, Lsn, Vec<Event>);

/// One server, read through both plugins.
struct Both {
    client: Client,
    translator: Translator,
    translated: Reader,
    asked: usize,
    server: Postgres,
}

impl Both {
    async fn new(server: Postgres) -> Self {
        let client = server.client("postgres").await.unwrap();
        // One by one: a transaction that has written makes no slot.
        for statement in [
            "SET search_path = pg_catalog",
            "CREATE PUBLICATION everything FOR ALL TABLES",
            "SELECT pg_create_logical_replication_slot('text', 'test_decoding')",
            "SELECT pg_create_logical_replication_slot('binary', 'pgoutput')",
        ] {
            client.batch_execute(statement).await.unwrap();
        }
        Self {
            client,
            translator: Translator::new(std::env::temp_dir()),
            translated: Reader::default(),
            asked: 0,
            server,
        }
    }

    /// Each statement is a transaction; they are read after the last.
    async fn assert_same(&mut self, statements: &[&str]) {
        for statement in statements {
            self.client
                .batch_execute(statement)
                .await
                .unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        }
        let translated = self.translated().await;
        let expected = self.expected().await;
        assert!(!expected.is_empty(), "{statements:?} changed nothing");
        assert_eq!(translated, expected, "{statements:?}");
    }

    /// In a session of its own: pgoutput leaves something behind in each, and PostgreSQL 10 ends one
    /// that has used it ten times.
    async fn expected(&self) -> Vec<Changed> {
        let client = self.server.client("postgres").await.unwrap();
        client
            .batch_execute("SET search_path = pg_catalog")
            .await
            .unwrap();
        let rows = client
            .query(
                "SELECT data FROM pg_logical_slot_get_binary_changes('binary', NULL, NULL,
                     'proto_version', '1', 'publication_names', 'everything')",
                &[],
            )
            .await
            .unwrap();
        let mut reader = Reader::default();
        changed(rows.iter().filter_map(|row| reader.read(row.get(0))))
    }

    async fn translated(&mut self) -> Vec<Changed> {
        let rows = self
            .client
            .query(
                "SELECT lsn::text, data FROM pg_logical_slot_get_changes('text', NULL, NULL,
                     'include-xids', '1', 'include-timestamp', '1')",
                &[],
            )
            .await
            .unwrap();
        let mut events = Vec::new();
        for row in rows {
            let lsn: Lsn = row.get::<_, String>(0).parse().unwrap();
            let line: String = row.get(1);
            loop {
                match self.translator.take(lsn, line.as_bytes()).unwrap() {
                    Outcome::Taken => break,
                    Outcome::NeedsTable(text) => {
                        self.asked += 1;
                        let facts = lookup::table_facts(&self.client, &text).await.unwrap();
                        self.translator.define(text, facts).unwrap();
                    }
                    Outcome::Transaction(transaction) => {
                        events.extend(self.translated.transaction(transaction));
                        break;
                    }
                }
            }
        }
        changed(events.into_iter())
    }
}

/// Whole transactions; empty ones are left out, for pgoutput does so since 15.
fn changed(events: impl Iterator<Item = Event>) -> Vec<Changed> {
    let mut transactions = Vec::new();
    let mut open = (0, 0, Vec::new());
    for event in events {
        match event {
            Event::Begin {
                committed_at, xid, ..
            } => open = (xid, committed_at, Vec::new()),
            Event::Commit { end_lsn } => {
                let (xid, committed_at, events) = std::mem::take(&mut open);
                if !events.is_empty() {
                    transactions.push((xid, committed_at, end_lsn, events));
                }
            }
            change @ (Event::Row { .. } | Event::Truncate { .. }) => open.2.push(change),
        }
    }
    transactions
}

const TYPES: &str = r#"
    CREATE SCHEMA "my schema";
    CREATE TYPE public."My Type" AS ENUM ('a', 'it''s');
    CREATE TYPE public."odd]"":" AS (a int, b text);
    CREATE DOMAIN public.flag AS boolean;
    CREATE DOMAIN public.positive AS int CHECK (VALUE > 0);
    CREATE TABLE public.typed (
        id int PRIMARY KEY, i2 smallint, i8 bigint, n numeric(10,2), n0 numeric, f4 real, f8 float8,
        b boolean, bits bit(3), vb varbit, t text, v varchar(20), c char(5), ch "char", nm name,
        by bytea, d date, ti time, tt time(3) with time zone, ts timestamp, tz timestamptz(3),
        iv interval, u uuid, j json, jb jsonb, x xml, m money, o oid, rc regclass, ip inet,
        mac macaddr, p point, tsv tsvector, r int4range, ia int[], ta text[], ba boolean[],
        e public."My Type", ea public."My Type"[], odd public."odd]"":", fl public.flag,
        pos public.positive);
    CREATE TABLE "my schema"."a.b" ("col umn" int PRIMARY KEY, "new-tuple" text, "q""x" text,
        "table" text, "Ünï" text);
    CREATE TABLE public.big (id int PRIMARY KEY, large text, n int);
    ALTER TABLE public.big ALTER COLUMN large SET STORAGE EXTERNAL;
    CREATE TABLE public.pair (b int, note text, a int, PRIMARY KEY (a, b));
    CREATE TABLE public.indexed (id int PRIMARY KEY, code text NOT NULL UNIQUE, note text);
    ALTER TABLE public.indexed REPLICA IDENTITY USING INDEX indexed_code_key;
    CREATE TABLE public.fully (id int PRIMARY KEY, note text, n int);
    ALTER TABLE public.fully REPLICA IDENTITY FULL;
    CREATE TABLE public.inserted (a int, b text)"#;

const CHANGES: [&str; 11] = [
    r#"INSERT INTO public.typed VALUES (1, -2, 9223372036854775807, 1.50, 1e-30, 0.1, 1e300,
        true, '101', '', E'quo''te \\ "x"\n\ttab', 'null', 'ab', 'c', 'name', '\x00ff27',
        '2024-02-29', '12:00', '12:00:00.1234+02', '2024-02-29 12:00', '0044-03-15 12:00 BC',
        '1 day -2 hours', '00000000-0000-0000-0000-000000000001', '{"a":  1}', '{"a": "b''c"}',
        '<a b="c">''</a>', '12.3', 4294967295, 'public.typed', '10.0.0.0/8', '08:00:2b:01:02:03',
        '(1,2)', 'a ''b''', '[1,5)', '{1,NULL,3}', '{"a b","c''d",null}', '{t,f}', 'it''s',
        '{a,it''s}', ROW(1, 'x y'), true, 7)"#,
    "INSERT INTO public.typed (id, n0, f4, f8, b, ts, d, t)
        VALUES (2, 'NaN', 'NaN', '-Infinity', false, 'infinity', '-infinity', '')",
    "UPDATE public.typed SET t = 'true', b = NOT b, id = id + 10",
    r#"INSERT INTO "my schema"."a.b" VALUES (1, 'x new-tuple: y[text]:''z''', NULL, '[', 'é')"#,
    r#"UPDATE "my schema"."a.b" SET "col umn" = 2; DELETE FROM "my schema"."a.b""#,
    "INSERT INTO public.big SELECT 1, repeat('x''y', 10000), 1;
     UPDATE public.big SET n = 2; UPDATE public.big SET id = 2; DELETE FROM public.big",
    "INSERT INTO public.pair VALUES (1, 'x', 2); UPDATE public.pair SET b = 3;
     UPDATE public.pair SET note = NULL; DELETE FROM public.pair",
    "INSERT INTO public.indexed VALUES (1, 'a''b', 'c'); UPDATE public.indexed SET id = 2;
     UPDATE public.indexed SET code = 'd'; DELETE FROM public.indexed",
    "INSERT INTO public.fully VALUES (1, 'x', NULL); UPDATE public.fully SET n = 1;
     UPDATE public.fully SET note = NULL, n = NULL; DELETE FROM public.fully",
    "INSERT INTO public.inserted VALUES (NULL, NULL), (1, 'x')",
    "BEGIN; INSERT INTO public.inserted VALUES (2, 'a'); SAVEPOINT s;
     INSERT INTO public.inserted VALUES (3, 'b'); ROLLBACK TO s;
     INSERT INTO public.inserted VALUES (4, 'c'); COMMIT",
];

async fn assert_every_change_is_the_same(server: Postgres) -> Both {
    let mut both = Both::new(server).await;
    both.client.batch_execute(TYPES).await.unwrap();
    both.assert_same(&CHANGES).await;
    let asked = both.asked;
    // A new session of pgoutput, the same one of ours: it asks nothing again.
    both.assert_same(&[
        "DELETE FROM public.typed",
        "INSERT INTO public.inserted VALUES (9)",
    ])
    .await;
    assert_eq!(both.asked, asked);
    both
}

async fn assert_changed_tables_are_the_same(both: &mut Both) {
    // The first read after each of these has a line that the known shape does not explain.
    both.assert_same(&[
        "CREATE TABLE public.moving (id int PRIMARY KEY, a int, b text)",
        "INSERT INTO public.moving VALUES (1, 2, 'x')",
    ])
    .await;
    both.assert_same(&[
        "ALTER TABLE public.moving REPLICA IDENTITY FULL",
        "UPDATE public.moving SET a = 3",
    ])
    .await;
    both.assert_same(&[
        "ALTER TABLE public.moving REPLICA IDENTITY DEFAULT",
        "UPDATE public.moving SET a = 4",
        "UPDATE public.moving SET id = 4",
    ])
    .await;
    // The catalog is asked when all of this has happened; the lines of before it come first.
    both.assert_same(&[
        "INSERT INTO public.moving VALUES (5, 2, 'y')",
        "ALTER TABLE public.moving ADD COLUMN c boolean DEFAULT true",
        "INSERT INTO public.moving VALUES (6, 2, 'y', false)",
        "ALTER TABLE public.moving ALTER COLUMN a TYPE numeric",
        "INSERT INTO public.moving VALUES (7, 2.5, 'y', false)",
        "ALTER TABLE public.moving DROP COLUMN b",
        "UPDATE public.moving SET a = a + 1 WHERE id = 7",
        "DELETE FROM public.moving",
    ])
    .await;
}

#[tokio::test]
async fn what_is_translated_is_what_pgoutput_says() {
    let mut both = assert_every_change_is_the_same(Postgres::start().await.unwrap()).await;
    assert_changed_tables_are_the_same(&mut both).await;
    both.assert_same(&[
        "INSERT INTO public.fully VALUES (1, 'x', NULL); TRUNCATE public.fully, public.pair",
        "TRUNCATE public.big RESTART IDENTITY CASCADE",
        "SELECT pg_logical_emit_message(true, 'p', 'x'), pg_logical_emit_message(false, 'p', 'x')",
    ])
    .await;
}

#[tokio::test]
async fn what_is_translated_is_what_the_oldest_pgoutput_says() {
    let server = Postgres::start_version(10).await.unwrap();
    let mut both = assert_every_change_is_the_same(server).await;
    // Here a rewrite writes the new copy of the table as well, and rows may have OIDs.
    assert_changed_tables_are_the_same(&mut both).await;
    both.assert_same(&[
        r#"CREATE TABLE public.own ("oid" oid PRIMARY KEY, a int)"#,
        "INSERT INTO public.own VALUES (3, 4); DELETE FROM public.own",
        "CREATE TABLE public.hidden (a int PRIMARY KEY, b text) WITH OIDS",
        "INSERT INTO public.hidden VALUES (1, 'x'); UPDATE public.hidden SET b = 'y';
         UPDATE public.hidden SET a = 2; DELETE FROM public.hidden",
    ])
    .await;
    both.assert_same(&[
        "INSERT INTO public.hidden VALUES (1, 'x')",
        "ALTER TABLE public.hidden ADD COLUMN c int, REPLICA IDENTITY FULL",
        "DELETE FROM public.hidden",
    ])
    .await;
}

#[tokio::test]
async fn a_table_that_is_gone_is_described_by_its_lines() {
    let mut both = Both::new(Postgres::start().await.unwrap()).await;
    both.client
        .batch_execute(
            "CREATE TYPE public.mood AS ENUM ('fine');
             CREATE TYPE public.gone AS ENUM ('x');
             CREATE TABLE public.t (id int PRIMARY KEY, m public.mood, g public.gone);
             CREATE TABLE public.u (id int PRIMARY KEY)",
        )
        .await
        .unwrap();
    for statement in [
        "INSERT INTO public.t VALUES (1, 'fine', 'x'); DELETE FROM public.t;
         INSERT INTO public.u VALUES (1); DELETE FROM public.u",
        "DROP TABLE public.t; DROP TABLE public.u; DROP TYPE public.gone",
    ] {
        both.client.batch_execute(statement).await.unwrap();
    }
    let mood: u32 = both
        .client
        .query_one("SELECT 'public.mood'::regtype::oid", &[])
        .await
        .unwrap()
        .get(0);
    let transactions = both.translated().await;
    let [(_, _, _, events)] = transactions.as_slice() else {
        panic!("{transactions:?}")
    };
    let tables: Vec<&Told> = events.iter().map(Event::table).collect();
    assert!(tables.iter().all(|table| table.oid >= 0xFFFF_0000));
    // Stored with the schema: it must not change from one release to the next.
    assert_eq!(tables[0].oid, tables[1].oid);
    assert_ne!(tables[0].oid, tables[2].oid);
    let types: Vec<u32> = tables[0].columns.iter().map(|column| column.1).collect();
    assert_eq!(types, [23, mood, 25]);
    let Event::Row { old, .. } = &events[1] else {
        panic!()
    };
    assert_eq!(
        *old,
        Some(Old::Key(vec![cell("1"), Cell::Null, Cell::Null]))
    );
}
