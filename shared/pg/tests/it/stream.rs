//! From a committed row to a frame, and from a status update to the slot.

use std::time::Duration;

use rowcast_domain::Lsn;
use rowcast_pg::publication::{self, Selection};
use rowcast_pg::replication::Encoding;
use rowcast_pg::replication::{Frame, FrameReader, Status, StatusWriter};
use rowcast_pg::{Error, ErrorClass, ReplicationConnection, settings, slot};

use crate::server::{Server, eventually};

const SLOT: &str = "rc_test";
const PGOUTPUT: &[(&str, &str)] = &[("proto_version", "1"), ("publication_names", "\"rc_test\"")];

async fn replication(server: &Server) -> ReplicationConnection {
    ReplicationConnection::connect(&server.options(), Encoding::Utf8)
        .await
        .unwrap()
}

/// A server with `public.items (id, name)`, a publication of all tables and a slot.
async fn prepared() -> (Server, Lsn) {
    let server = Server::start().await;
    let session = server.session().await;
    session
        .batch_execute("CREATE TABLE public.items (id integer PRIMARY KEY, name text)")
        .await
        .unwrap();
    let all = Selection::AllTables;
    let version = settings::read(&session).await.unwrap().server_version;
    publication::create(&session, SLOT, &all, &["insert"], version)
        .await
        .unwrap();
    let start = replication(&server)
        .await
        .create_logical_slot(SLOT, "pgoutput", false)
        .await
        .unwrap();
    (server, start)
}

async fn start(server: &Server, lsn: Lsn) -> (FrameReader, StatusWriter) {
    let connection = replication(server).await;
    connection.start_logical(SLOT, lsn, PGOUTPUT).await.unwrap()
}

/// Reads plugin messages until `count` of this kind have come; returns all.
async fn plugin_messages(reader: &mut FrameReader, kind: u8, count: usize) -> Vec<Vec<u8>> {
    let mut messages: Vec<Vec<u8>> = Vec::new();
    loop {
        while let Some(frame) = reader.next_buffered().unwrap() {
            if let Frame::XLogData { data, .. } = frame {
                messages.push(data.to_vec());
            }
        }
        let seen = messages.iter().filter(|data| data.first() == Some(&kind));
        if seen.count() >= count {
            return messages;
        }
        // Dropped half-way again and again: what was read must not be lost by it.
        tokio::select! {
            biased;
            () = tokio::task::yield_now() => {}
            result = reader.fill() => result.unwrap(),
        }
    }
}

fn confirmed(lsn: Lsn) -> Status {
    Status {
        written: lsn,
        flushed: lsn,
        applied: lsn,
        reply_requested: true,
    }
}

#[tokio::test]
async fn a_committed_row_arrives_and_a_status_moves_the_slot() {
    let (server, consistent_point) = prepared().await;
    let session = server.session().await;
    let (mut reader, mut writer) = start(&server, consistent_point).await;
    session
        .batch_execute("INSERT INTO public.items VALUES (1, 'one'), (2, 'it''s two')")
        .await
        .unwrap();

    let messages = plugin_messages(&mut reader, b'C', 1).await;
    let kinds: Vec<u8> = messages.iter().map(|data| data[0]).collect();
    assert_eq!(kinds, b"BRIIC");
    assert!(messages[3].ends_with(b"t\0\0\0\x012t\0\0\0\x08it's two"));

    // PostgreSQL docs, "Logical Replication Message Formats", Commit: flags, commit LSN, end LSN.
    let end = u64::from_be_bytes(messages[4][10..18].try_into().unwrap());
    let end = Lsn::new(end);
    assert!(end > consistent_point);
    writer.send(confirmed(end)).await.unwrap();
    eventually("the slot is confirmed", async || {
        let state = slot::find(&session, SLOT).await.unwrap().unwrap();
        state.confirmed_flush_lsn == Some(end)
    })
    .await;

    let state = slot::find(&session, SLOT).await.unwrap().unwrap();
    assert_eq!(state.plugin.as_deref(), Some("pgoutput"));
    assert_eq!(state.database.as_deref(), Some("postgres"));
    assert!(state.active && state.active_pid.is_some() && !state.is_lost());

    writer.finish().await;
    drop(reader);
    eventually("the slot is free", async || {
        !slot::find(&session, SLOT).await.unwrap().unwrap().active
    })
    .await;

    // A new stream goes on behind what was confirmed.
    let (mut reader, _writer) = start(&server, Lsn::INVALID).await;
    session
        .batch_execute("INSERT INTO public.items VALUES (3, 'three')")
        .await
        .unwrap();
    let messages = plugin_messages(&mut reader, b'C', 1).await;
    assert!(messages[2].ends_with(b"three"));
}

#[tokio::test]
async fn a_requested_keepalive_answers() {
    let (server, consistent_point) = prepared().await;
    let (mut reader, mut writer) = start(&server, consistent_point).await;
    writer.send(confirmed(consistent_point)).await.unwrap();
    let wait = async {
        loop {
            if let Some(Frame::Keepalive { wal_end, .. }) = reader.next_buffered().unwrap() {
                return wal_end;
            }
            reader.fill().await.unwrap();
        }
    };
    let wal_end = tokio::time::timeout(Duration::from_secs(10), wait)
        .await
        .unwrap();
    assert!(wal_end >= consistent_point);
}

#[tokio::test]
async fn ten_thousand_rows_and_a_big_one_arrive_whole() {
    let (server, consistent_point) = prepared().await;
    let (mut reader, _writer) = start(&server, consistent_point).await;
    server
        .session()
        .await
        .batch_execute(
            "INSERT INTO public.items SELECT i, repeat('x', 90) FROM generate_series(1, 10000) i;
             INSERT INTO public.items SELECT 10001, repeat('y', 3000000);
             INSERT INTO public.items SELECT i, 'z' FROM generate_series(10002, 10100) i",
        )
        .await
        .unwrap();
    let messages = plugin_messages(&mut reader, b'C', 1).await;
    let rows: Vec<&Vec<u8>> = messages.iter().filter(|data| data[0] == b'I').collect();
    assert_eq!(rows.len(), 10_100);
    assert!(rows[10_000].len() > 3_000_000 && rows[10_000].ends_with(b"yyy"));
    assert!(rows[10_099].ends_with(b"t\0\0\0\x0510100t\0\0\0\x01z"));
}

#[tokio::test]
async fn values_are_written_the_same_whatever_the_role_has_as_default() {
    let (server, consistent_point) = prepared().await;
    let session = server.session().await;
    session
        .batch_execute(
            "ALTER ROLE postgres SET datestyle = 'German';
             ALTER ROLE postgres SET timezone = 'Asia/Tokyo';
             ALTER ROLE postgres SET bytea_output = 'escape';
             ALTER ROLE postgres SET intervalstyle = 'sql_standard';
             ALTER ROLE postgres SET extra_float_digits = '-15';
             CREATE TABLE public.kinds (d date, t timestamptz, b bytea, i interval, f float8)",
        )
        .await
        .unwrap();
    let (mut reader, _writer) = start(&server, consistent_point).await;
    session
        .batch_execute(
            "INSERT INTO public.kinds
             VALUES ('2024-02-03', '2024-02-03 04:05:06+00', '\\x00ff', '1 day 2 hours', 0.1)",
        )
        .await
        .unwrap();
    let messages = plugin_messages(&mut reader, b'C', 1).await;
    let row = messages.iter().find(|data| data[0] == b'I').unwrap();
    let row = String::from_utf8_lossy(row);
    for text in [
        "2024-02-03t",
        "2024-02-03 04:05:06+00",
        "\\x00ff",
        "1 day 02:00:00",
        "0.1",
    ] {
        assert!(row.contains(text), "{text} in {row:?}");
    }
}

#[tokio::test]
async fn a_slot_in_use_is_transient_and_one_that_is_missing_definite() {
    let (server, consistent_point) = prepared().await;
    let (_reader, _writer) = start(&server, consistent_point).await;
    let second = replication(&server).await;
    let error = second
        .start_logical(SLOT, consistent_point, PGOUTPUT)
        .await
        .err()
        .unwrap();
    assert_eq!(error.sqlstate(), Some("55006"), "{error}");
    assert_eq!(error.class(), ErrorClass::Transient);

    // An error leaves the connection usable.
    let mut connection = replication(&server).await;
    let twice = connection
        .create_logical_slot(SLOT, "pgoutput", false)
        .await;
    assert_eq!(twice.unwrap_err().sqlstate(), Some("42710"));
    let missing = connection.drop_slot("rc_none").await.unwrap_err();
    assert_eq!(missing.sqlstate(), Some("42704"), "{missing}");
    assert_eq!(missing.class(), ErrorClass::Definite);
    let other = connection.create_logical_slot("rc_other", "test_decoding", false);
    assert!(other.await.unwrap() >= consistent_point);
    connection.drop_slot("rc_other").await.unwrap();
    let session = server.session().await;
    let found = slot::find(&session, "rc_other").await;
    assert_eq!(found.unwrap(), None);
}

#[tokio::test]
async fn a_terminated_stream_tells_why() {
    let (server, consistent_point) = prepared().await;
    let (mut reader, _writer) = start(&server, consistent_point).await;
    let terminated = server
        .session()
        .await
        .query_one(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots",
            &[],
        )
        .await
        .unwrap();
    assert!(terminated.get::<_, bool>(0));
    let error = loop {
        match reader.next_buffered() {
            Ok(Some(_)) => {}
            Ok(None) => {
                if let Err(error) = reader.fill().await {
                    break error;
                }
            }
            Err(error) => break error,
        }
    };
    assert_eq!(error.sqlstate(), Some("57P01"), "{error}");
    assert_eq!(error.class(), ErrorClass::Transient);
    assert!(matches!(error, Error::Server(_)));
}
