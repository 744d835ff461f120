//! Where no source may be, nothing is dialled.

use rowcast_pg::replication::Encoding;
use rowcast_pg::{ConnectOptions, Error, ErrorClass, ReplicationConnection, connect};

use crate::server::Server;

#[tokio::test]
async fn what_the_settings_exclude_is_not_dialled_under_any_name() {
    let server = Server::start().await;
    for (host, networks) in [
        ("127.0.0.1", "!127.0.0.0/8"),
        ("localhost", "!127.0.0.0/8,!::1"),
        ("localhost", "10.0.0.0/8"),
        ("/tmp", "10.0.0.0/8"),
    ] {
        let options = ConnectOptions {
            host: host.to_owned(),
            networks: networks.parse().unwrap(),
            ..server.options()
        };
        let sql = connect(&options).await.map(drop);
        let replication = ReplicationConnection::connect(&options, Encoding::Utf8).await;
        for result in [sql, replication.map(drop)] {
            let error = result.unwrap_err();
            assert!(matches!(error, Error::NotAllowed { .. }), "{host}: {error}");
            assert_eq!(error.class(), ErrorClass::Definite);
        }
    }
    let allowed = ConnectOptions {
        networks: "127.0.0.0/8".parse().unwrap(),
        ..server.options()
    };
    connect(&allowed).await.unwrap();
}
