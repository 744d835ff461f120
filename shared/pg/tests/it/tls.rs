//! Which servers are trusted over TLS, and what channel binding keeps out.

use std::path::Path;
use std::sync::Arc;

use rowcast_domain::Secret;
use rowcast_pg::replication::Encoding;
use rowcast_pg::{
    ClientCertificate, ConnectOptions, Error, ErrorClass, ReplicationConnection, Session, SslMode,
    connect,
};
use rowcast_testkit::openssl;
use rustls::crypto::ring;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::server::{Server, eventually};

/// PEM of a certificate and its key.
#[derive(Clone)]
struct Identity {
    certificate: String,
    key: String,
}

/// A certificate authority in a folder of its own.
struct Authority {
    dir: tempfile::TempDir,
    certificate: String,
}

fn read(dir: &Path, name: &str) -> String {
    std::fs::read_to_string(dir.join(name)).unwrap()
}

const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

impl Authority {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        openssl(
            dir.path(),
            &format!("req -x509 {KEY} -keyout ca.key -out ca.crt -subj /CN=ca -days 2"),
        );
        let certificate = read(dir.path(), "ca.crt");
        Self { dir, certificate }
    }

    /// A certificate for a role. Some versions of openssl make it as X.509 version 1.
    fn issue_to(&self, role: &str) -> ClientCertificate {
        let dir = self.dir.path();
        openssl(
            dir,
            &format!("req -new {KEY} -keyout client.key -out client.csr -subj /CN={role}"),
        );
        openssl(
            dir,
            "x509 -req -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out client.crt",
        );
        ClientCertificate {
            chain: read(dir, "client.crt"),
            key: Secret::new(read(dir, "client.key")),
        }
    }

    /// A certificate for the name `localhost`.
    fn issue(&self, hash: &str) -> Identity {
        let dir = self.dir.path();
        openssl(
            dir,
            &format!(
                "req -new {KEY} -keyout server.key -out server.csr -subj /CN=localhost \
                 -addext subjectAltName=DNS:localhost"
            ),
        );
        openssl(
            dir,
            &format!(
                "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
                 -copy_extensions copy -{hash} -out server.crt"
            ),
        );
        Identity {
            certificate: read(dir, "server.crt"),
            key: read(dir, "server.key"),
        }
    }
}

/// A certificate for `localhost` that nobody but itself has signed.
fn self_signed() -> Identity {
    let dir = tempfile::tempdir().unwrap();
    openssl(
        dir.path(),
        &format!(
            "req -x509 {KEY} -keyout server.key -out server.crt -subj /CN=localhost -days 2 \
             -addext subjectAltName=DNS:localhost"
        ),
    );
    Identity {
        certificate: read(dir.path(), "server.crt"),
        key: read(dir.path(), "server.key"),
    }
}

/// Gives lines to a program that runs in the server's folder.
async fn write(session: &Session, lines: &str, program: &str) {
    session
        .batch_execute(&format!(
            "COPY (SELECT unnest(string_to_array('{lines}', E'\\n'))) TO PROGRAM '{program}'"
        ))
        .await
        .unwrap();
}

/// Lets roles in over TLS by certificates of this authority only.
async fn ask_for_certificates(server: &Server, authority: &Authority) {
    let session = server.session().await;
    write(&session, &authority.certificate, "cat > clients.crt").await;
    let rules = "hostssl all all all cert\nhostssl replication all all cert";
    let before_the_others = "cat - pg_hba.conf > hba.new && mv hba.new pg_hba.conf";
    write(&session, rules, before_the_others).await;
    session
        .batch_execute("ALTER SYSTEM SET ssl_ca_file = 'clients.crt'")
        .await
        .unwrap();
    session
        .batch_execute("SELECT pg_reload_conf()")
        .await
        .unwrap();
}

/// Switches TLS on. The server's own process writes the files, for it wants to own the key.
async fn serve_with(server: &Server, identity: &Identity) {
    let session = server.session().await;
    for (file, pem) in [
        ("server.crt", &identity.certificate),
        ("server.key", &identity.key),
    ] {
        write(&session, pem, &format!("umask 077; cat > {file}")).await;
    }
    session
        .batch_execute("ALTER SYSTEM SET ssl = on")
        .await
        .unwrap();
    session
        .batch_execute("SELECT pg_reload_conf()")
        .await
        .unwrap();
    // Trusted is this one certificate, so an older one still served does not pass.
    let this_one = options(server, SslMode::VerifyFull, Some(&identity.certificate));
    eventually("the server shows the certificate", async || {
        connect(&this_one).await.is_ok()
    })
    .await;
}

fn options(server: &Server, ssl_mode: SslMode, roots: Option<&str>) -> ConnectOptions {
    ConnectOptions {
        host: "localhost".to_owned(),
        ssl_mode,
        ssl_root_cert: roots.map(str::to_owned),
        ..server.options()
    }
}

async fn both(options: &ConnectOptions) -> [Result<(), Error>; 2] {
    [
        connect(options).await.map(drop::<Session>),
        ReplicationConnection::connect(options, Encoding::Utf8)
            .await
            .map(drop),
    ]
}

async fn accepted(options: &ConnectOptions) {
    for result in both(options).await {
        result.unwrap();
    }
}

async fn refused(options: &ConnectOptions) {
    for result in both(options).await {
        let error = result.unwrap_err();
        assert!(
            matches!(error, Error::Tls(_) | Error::TlsMissing { .. }),
            "{error}"
        );
        assert_eq!(error.class(), ErrorClass::Definite);
    }
}

async fn has_tls(options: &ConnectOptions) -> bool {
    let session = connect(options).await.unwrap();
    let query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    session.query_one(query, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn each_mode_checks_what_libpq_says_it_checks() {
    let server = Server::start().await;
    assert!(!has_tls(&options(&server, SslMode::Prefer, None)).await);
    refused(&options(&server, SslMode::Require, None)).await;

    let authority = Authority::new();
    serve_with(&server, &authority.issue("sha256")).await;
    let ours = Some(authority.certificate.as_str());
    let stranger = Authority::new();
    let other = Some(stranger.certificate.as_str());
    assert!(!has_tls(&options(&server, SslMode::Disable, None)).await);
    for mode in [SslMode::Prefer, SslMode::Require] {
        assert!(has_tls(&options(&server, mode, None)).await, "{mode}");
    }
    for mode in [SslMode::Require, SslMode::VerifyCa, SslMode::VerifyFull] {
        assert!(has_tls(&options(&server, mode, ours)).await, "{mode}");
        accepted(&options(&server, mode, ours)).await;
        refused(&options(&server, mode, other)).await;
    }
    let by_address = |mode| ConnectOptions {
        host: "127.0.0.1".to_owned(),
        ..options(&server, mode, ours)
    };
    accepted(&by_address(SslMode::VerifyCa)).await;
    refused(&by_address(SslMode::VerifyFull)).await;
    refused(&options(&server, SslMode::VerifyFull, Some("no PEM"))).await;
    // The machine's own authorities do not know this server.
    refused(&options(&server, SslMode::VerifyFull, None)).await;
}

#[tokio::test]
async fn a_self_signed_server_is_recognised_by_its_own_certificate() {
    let server = Server::start().await;
    let identity = self_signed();
    serve_with(&server, &identity).await;
    let known = Some(identity.certificate.as_str());
    accepted(&options(&server, SslMode::VerifyFull, known)).await;
    let another = self_signed();
    let unknown = Some(another.certificate.as_str());
    refused(&options(&server, SslMode::VerifyFull, unknown)).await;
}

#[tokio::test]
async fn a_login_over_tls_is_bound_to_it_whatever_the_certificate_is_hashed_with() {
    let server = Server::start().await;
    let plain = ReplicationConnection::connect(&server.options(), Encoding::Utf8).await;
    assert!(!plain.unwrap().channel_bound());
    let authority = Authority::new();
    for hash in ["sha256", "sha384", "sha512"] {
        serve_with(&server, &authority.issue(hash)).await;
        let encrypted = options(&server, SslMode::Require, None);
        let connection = ReplicationConnection::connect(&encrypted, Encoding::Utf8)
            .await
            .unwrap();
        assert!(connection.channel_bound(), "{hash}");
        accepted(&encrypted).await;
    }
}

/// Ends TLS and begins it anew towards the server, as one who reads along would.
struct Relay {
    port: u16,
    _connections: JoinSet<()>,
}

impl Relay {
    async fn start(server_port: u16, authority: &Authority, identity: &Identity) -> Self {
        let provider = Arc::new(ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(authority.certificate.as_bytes()).unwrap();
        roots.add(root).unwrap();
        let to_server = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let to_client = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let connector = TlsConnector::from(Arc::new(to_server));
        let acceptor = TlsAcceptor::from(Arc::new(to_client));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut request = [0; 8];
                client.read_exact(&mut request).await.unwrap();
                let mut server = TcpStream::connect(("127.0.0.1", server_port))
                    .await
                    .unwrap();
                server.write_all(&request).await.unwrap();
                let answer = server.read_u8().await.unwrap();
                client.write_u8(answer).await.unwrap();
                let mut client = acceptor.accept(client).await.unwrap();
                let name = "localhost".try_into().unwrap();
                let mut server = connector.connect(name, server).await.unwrap();
                // Either side may hang up without a goodbye.
                copy_bidirectional(&mut client, &mut server).await.ok();
            }
        });
        Self {
            port,
            _connections: connections,
        }
    }
}

#[tokio::test]
async fn a_relay_that_is_trusted_by_nobody_cannot_carry_a_login() {
    let server = Server::start().await;
    let authority = Authority::new();
    let identity = authority.issue("sha256");
    serve_with(&server, &identity).await;

    let through = |relay: &Relay| ConnectOptions {
        port: relay.port,
        ..options(&server, SslMode::Require, None)
    };
    // With the server's own key it does carry one: what fails below is the binding, not the relay.
    let transparent = Relay::start(server.port, &authority, &identity).await;
    accepted(&through(&transparent)).await;

    let relay = Relay::start(server.port, &authority, &self_signed()).await;
    for result in both(&through(&relay)).await {
        let error = result.unwrap_err();
        assert_eq!(error.sqlstate(), Some("28000"), "{error}");
    }
}

#[tokio::test]
async fn a_role_logs_in_by_its_certificate_alone() {
    let server = Server::start().await;
    let (servers, clients) = (Authority::new(), Authority::new());
    serve_with(&server, &servers.issue("sha256")).await;
    ask_for_certificates(&server, &clients).await;
    let with = |certificate: ClientCertificate| ConnectOptions {
        password: Secret::new(""),
        client_certificate: Some(certificate),
        ..options(&server, SslMode::VerifyFull, Some(&servers.certificate))
    };
    let good = with(clients.issue_to("postgres"));
    eventually("the server asks for certificates", async || {
        connect(&good).await.is_ok()
    })
    .await;
    accepted(&good).await;

    let without = ConnectOptions {
        client_certificate: None,
        ..good.clone()
    };
    let others = with(clients.issue_to("somebody"));
    let strange = with(servers.issue_to("postgres"));
    for bad in [without, others, strange] {
        for result in both(&bad).await {
            let error = result.unwrap_err();
            assert_eq!(error.class(), ErrorClass::Definite, "{error:?}");
        }
    }
    let mixed = with(ClientCertificate {
        chain: clients.issue_to("postgres").chain,
        ..clients.issue_to("postgres")
    });
    refused(&mixed).await;
}

/// Lets roles in by these lines of `pg_hba.conf` and no others, and waits until they do not let in `refused`.
async fn admit_only(server: &Server, lines: &str, refused: &ConnectOptions) {
    let session = connect(&options(server, SslMode::Prefer, None))
        .await
        .unwrap();
    write(&session, lines, "cat > pg_hba.conf").await;
    session
        .batch_execute("SELECT pg_reload_conf()")
        .await
        .unwrap();
    eventually("the server has read its lines", async || {
        connect(refused).await.is_err()
    })
    .await;
}

#[tokio::test]
async fn what_the_server_refuses_is_tried_the_other_way_where_the_mode_has_one() {
    let server = Server::start().await;
    let of = |mode| options(&server, mode, None);
    // Without TLS at the server there is one way only.
    assert!(!has_tls(&of(SslMode::Allow)).await);
    let wrong = ConnectOptions {
        password: Secret::new("wrong"),
        ..of(SslMode::Allow)
    };
    for result in both(&wrong).await {
        assert_eq!(result.unwrap_err().sqlstate(), Some("28P01"));
    }

    serve_with(&server, &self_signed()).await;
    assert!(!has_tls(&of(SslMode::Allow)).await);
    let over_tls = "hostssl all all all scram-sha-256\nhostssl replication all all scram-sha-256";
    admit_only(&server, over_tls, &of(SslMode::Disable)).await;
    for mode in [SslMode::Allow, SslMode::Prefer] {
        assert!(has_tls(&of(mode)).await, "{mode}");
        accepted(&of(mode)).await;
    }
    // What the way that is let in says is what is told.
    for result in both(&wrong).await {
        assert_eq!(result.unwrap_err().sqlstate(), Some("28P01"));
    }

    let in_clear =
        "hostnossl all all all scram-sha-256\nhostnossl replication all all scram-sha-256";
    let encrypted = of(SslMode::Require);
    admit_only(&server, in_clear, &encrypted).await;
    for mode in [SslMode::Allow, SslMode::Prefer] {
        assert!(!has_tls(&of(mode)).await, "{mode}");
        accepted(&of(mode)).await;
    }
}
