//! A source behind several hosts.

use std::net::TcpListener;
use std::time::Duration;

use rowcast_pg::replication::Encoding;
use rowcast_pg::{ConnectOptions, Error, ErrorClass, ReplicationConnection, connect};
use rowcast_testkit::Postgres;
use tokio::time::Instant;

use crate::source::superuser;

fn behind(postgres: &Postgres, hosts: &[String]) -> ConnectOptions {
    ConnectOptions {
        host: hosts.join(","),
        ..superuser(postgres)
    }
}

fn place(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

#[tokio::test]
async fn what_is_opened_leads_to_the_host_that_takes_writes() {
    let primary = Postgres::start().await.unwrap();
    let standby = Box::pin(primary.standby(false)).await.unwrap();
    let hosts = [place(standby.port()), place(primary.port())];
    let options = behind(&primary, &hosts);
    let session = connect(&options).await.unwrap();
    let row = session.query_one("SELECT inet_server_port()", &[]).await;
    assert_eq!(row.unwrap().get::<_, i32>(0), i32::from(primary.port()));
    let mut replication = ReplicationConnection::connect(&options, Encoding::Utf8)
        .await
        .unwrap();
    replication.identify_system().await.unwrap();

    // In the middle of a failover nothing takes writes, and then the other one does.
    let mut primary = primary;
    primary.stop().await.unwrap();
    let error = connect(&options).await.unwrap_err();
    assert!(matches!(error, Error::NoPrimary { .. }), "{error}");
    assert_eq!(error.class(), ErrorClass::Transient);
    standby.promote().await.unwrap();
    let session = connect(&options).await.unwrap();
    let row = session.query_one("SELECT inet_server_port()", &[]).await;
    assert_eq!(row.unwrap().get::<_, i32>(0), i32::from(standby.port()));
}

#[tokio::test]
async fn a_host_that_says_nothing_holds_nobody_up() {
    let primary = Postgres::start().await.unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let hosts = [
        place(silent.local_addr().unwrap().port()),
        place(primary.port()),
    ];
    let options = ConnectOptions {
        connect_timeout: Duration::from_secs(60),
        ..behind(&primary, &hosts)
    };
    let begun = Instant::now();
    connect(&options).await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "{:?}",
        begun.elapsed()
    );
}
