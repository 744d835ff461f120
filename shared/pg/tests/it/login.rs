//! Who gets in, and what a failed login tells.

use std::time::Duration;

use rowcast_domain::Secret;
use rowcast_pg::replication::Encoding;
use rowcast_pg::{ConnectOptions, Error, ErrorClass, ReplicationConnection, Session, connect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::server::{self, Server};

async fn both(options: &ConnectOptions) -> [Result<(), Error>; 2] {
    [
        connect(options).await.map(drop::<Session>),
        ReplicationConnection::connect(options, Encoding::Utf8)
            .await
            .map(drop),
    ]
}

#[tokio::test]
async fn a_scram_login_opens_a_session_with_our_settings() {
    let server = Server::start().await;
    let session = server.session().await;
    let row = session
        .query_one(
            "SELECT current_setting('search_path'), current_setting('statement_timeout'),
                    current_setting('application_name'),
                    (SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid
                     WHERE rolname = CURRENT_USER)",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, &str>(0), "pg_catalog");
    assert_eq!(row.get::<_, &str>(1), "30s");
    assert_eq!(row.get::<_, &str>(2), "rowcast-test");
    assert!(row.get::<_, bool>(3));
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_database_are_definite() {
    let server = Server::start().await;
    let wrong = ConnectOptions {
        password: Secret::new("guess"),
        ..server.options()
    };
    for result in both(&wrong).await {
        let error = result.unwrap_err();
        assert_eq!(error.sqlstate(), Some("28P01"), "{error}");
        assert_eq!(error.class(), ErrorClass::Definite);
    }
    let none = ConnectOptions {
        password: Secret::new(""),
        ..server.options()
    };
    for result in both(&none).await {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Authentication(_)), "{error}");
    }
    let missing = ConnectOptions {
        database: "nowhere".to_owned(),
        ..server.options()
    };
    for result in both(&missing).await {
        let error = result.unwrap_err();
        assert_eq!(error.sqlstate(), Some("3D000"), "{error}");
        assert_eq!(error.class(), ErrorClass::Definite);
    }
}

#[tokio::test]
async fn a_closed_port_and_a_silent_server_are_transient() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = ConnectOptions {
        connect_timeout: Duration::from_millis(200),
        ..server::options(listener.local_addr().unwrap().port())
    };
    for result in both(&options).await {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error}");
        assert_eq!(error.class(), ErrorClass::Transient);
    }
    drop(listener);
    options.connect_timeout = Duration::from_secs(5);
    for result in both(&options).await {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Connect { .. }), "{error}");
        assert_eq!(error.class(), ErrorClass::Transient);
    }
}

#[tokio::test]
async fn a_folder_as_host_is_a_unix_domain_socket() {
    let server = Server::start().await;
    let session = connect(&server.socket_options()).await.unwrap();
    let row = session
        .query_one("SELECT inet_client_addr() IS NULL", &[])
        .await
        .unwrap();
    assert!(row.get::<_, bool>(0));
    let replication =
        ReplicationConnection::connect(&server.socket_options(), Encoding::Utf8).await;
    replication.unwrap().identify_system().await.unwrap();
}

#[tokio::test]
async fn an_identified_system_names_its_database() {
    let server = Server::start().await;
    let mut connection = ReplicationConnection::connect(&server.options(), Encoding::Utf8)
        .await
        .unwrap();
    let identity = connection.identify_system().await.unwrap();
    let row = server
        .session()
        .await
        .query_one(
            "SELECT system_identifier::text FROM pg_control_system()",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(identity.system_id, row.get::<_, &str>(0));
    assert_eq!(identity.timeline, 1);
    assert_eq!(identity.database, "postgres");
    assert!(identity.flush_lsn.is_valid());
}

/// Asks for a password in clear text and returns what it is told.
async fn rogue(listener: &TcpListener) -> Vec<u8> {
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut startup = [0; 1024];
    assert!(socket.read(&mut startup).await.unwrap() > 0);
    socket.write_all(b"R\0\0\0\x08\0\0\0\x03").await.unwrap();
    let mut answer = Vec::new();
    while answer.last() != Some(&0) && socket.read_buf(&mut answer).await.unwrap() > 0 {}
    answer
}

#[tokio::test]
async fn a_server_elsewhere_gets_no_password_in_clear() {
    // Any address of this machine that is not loopback: no packet is sent to find it.
    let probe = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    probe.connect("198.51.100.1:9").unwrap();
    let listener = TcpListener::bind((probe.local_addr().unwrap().ip(), 0))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let options = ConnectOptions {
        host: address.ip().to_string(),
        ..server::options(address.port())
    };
    let (told, result) = tokio::join!(rogue(&listener), connect(&options));
    assert!(matches!(result.unwrap_err(), Error::Authentication(_)));
    assert_eq!(told, b"");
    let (told, result) = tokio::join!(
        rogue(&listener),
        ReplicationConnection::connect(&options, Encoding::Utf8)
    );
    assert!(matches!(result.err(), Some(Error::Authentication(_))));
    assert_eq!(told, b"");
}

#[tokio::test]
async fn a_server_on_this_machine_gets_the_password_it_asks_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = server::options(listener.local_addr().unwrap().port());
    let password = [b"p\0\0\0\x11", server::PASSWORD.as_bytes(), b"\0"].concat();
    assert_eq!(password.len(), 1 + 0x11);
    let (told, _) = tokio::join!(
        rogue(&listener),
        ReplicationConnection::connect(&options, Encoding::Utf8)
    );
    assert_eq!(told, password);
    let (told, _) = tokio::join!(rogue(&listener), connect(&options));
    assert_eq!(told, password);
}
