//! The way to the server: TLS, firewalls, addresses.

use std::net::SocketAddr;
use std::time::Duration;

use rowcast_testkit::eventually;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{SOON, World};

/// What makes a certificate for `localhost` and gives it to the server.
async fn switch_tls_on(world: &World) {
    world.command(
        "openssl req -new -x509 -days 2 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost -out server.crt \
         -keyout server.key",
    );
    world.command("chmod 600 server.key");
    world
        .each(&["ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()"])
        .await;
}

#[tokio::test]
async fn a_server_that_lets_in_over_tls_only() {
    let mut world = World::start(None).await;
    switch_tls_on(&world).await;
    world
        .admit_only("hostssl all tracker 127.0.0.1/32 scram-sha-256")
        .await;
    let item = world.is_not_reached("tls_required", "login").await;
    world.repair_by(&item, 1).await;
    assert_eq!(world.source.sslmode, "require");
    world.is_right().await;
    // These find the way by themselves.
    for sslmode in ["allow", "prefer"] {
        world.source.sslmode = sslmode.to_owned();
        world.is_right().await;
    }
    world.source.sslmode = "disable".to_owned();
    world.sql("ALTER ROLE tracker PASSWORD 'another'").await;
    // Both are wrong, and TLS comes first.
    world.is_not_reached("tls_required", "login").await;
}

#[tokio::test]
async fn a_server_that_has_no_tls() {
    for choice in [0, 1] {
        let mut world = World::start(None).await;
        world.source.sslmode = "require".to_owned();
        let item = world.is_not_reached("tls", "tls").await;
        world.repair_by(&item, choice).await;
        assert_eq!(world.source.sslmode == "disable", choice == 1);
        world.is_right().await;
    }
}

#[tokio::test]
async fn a_server_that_lets_in_without_tls_only() {
    let mut world = World::start(None).await;
    switch_tls_on(&world).await;
    world
        .admit_only("hostnossl all tracker 127.0.0.1/32 scram-sha-256")
        .await;
    world.source.sslmode = "require".to_owned();
    let item = world.is_not_reached("login_forbidden", "login").await;
    world.repair(&item).await;
    world.is_right().await;
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_of_the_client() {
    let mut world = World::start(None).await;
    switch_tls_on(&world).await;
    world
        .each(&[
            "ALTER SYSTEM SET ssl_ca_file = 'server.crt'",
            "SELECT pg_reload_conf()",
        ])
        .await;
    world
        .admit_only("hostssl all tracker 127.0.0.1/32 cert")
        .await;
    world.source.sslmode = "require".to_owned();
    let item = world.is_not_reached("certificate_required", "login").await;
    assert!(item.repair.contains("sslcert and sslkey"), "{item:?}");
}

#[tokio::test]
async fn a_certificate_that_proves_nothing() {
    let mut world = World::start(None).await;
    switch_tls_on(&world).await;
    world.source.sslmode = "verify-full".to_owned();
    world.source.host = "localhost".to_owned();
    let item = world.is_not_reached("tls", "tls").await;
    assert!(item.cause.contains("this machine trusts"), "{item:?}");
    world.repair_by(&item, 1).await;
    world.is_right().await;

    let certificate = world.service.postgres.data_folder().join("server.crt");
    world.source.sslrootcert = std::fs::read_to_string(certificate).unwrap();
    world.source.sslmode = "verify-full".to_owned();
    world.is_right().await;
    world.source.host = "127.0.0.1".to_owned();
    let item = world.is_not_reached("tls", "tls").await;
    assert!(item.cause.contains("not for 127.0.0.1"), "{item:?}");
    world.repair_by(&item, 1).await;
    assert_eq!(world.source.sslmode, "verify-ca");
    world.is_right().await;
}

#[tokio::test]
async fn a_server_that_listens_elsewhere() {
    let mut world = World::start(None).await;
    world.source.host = "127.0.0.2".to_owned();
    let item = world.is_not_reached("refused", "tcp").await;
    world.repair(&item).await;
    world.is_right().await;
}

/// A port whose queue of connections is full: the kernel drops what else comes, as a firewall does.
struct Blackhole {
    address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Blackhole {
    async fn dig() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let listener = socket.listen(0).unwrap();
        let mut queue = Vec::new();
        while let Ok(stream) =
            timeout(Duration::from_millis(500), TcpStream::connect(address)).await
        {
            queue.push(stream.unwrap());
        }
        Self {
            address,
            _listener: listener,
            _queue: queue,
        }
    }

    /// The firewall lets everything through from now on.
    fn open(self, port: u16) -> JoinSet<()> {
        let address = self.address;
        drop(self);
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(64).unwrap();
        let mut through = JoinSet::new();
        through.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                connections.spawn(async move {
                    let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    // Either side may hang up without a goodbye.
                    copy_bidirectional(&mut client, &mut server).await.ok();
                });
            }
        });
        through
    }
}

#[tokio::test]
async fn a_firewall_that_drops() {
    let mut world = World::start(None).await;
    let port = world.service.postgres.port();
    let firewall = Blackhole::dig().await;
    let number = firewall.address.port();
    world.source.port = number.into();
    let (report, walk) = tokio::join!(world.report(), world.service.test(world.source.clone()));
    let item = &report.items[0];
    assert_eq!(item.saw, "timeout: connecting did not finish within 10s");
    let expected =
        format!("Let TCP connections from Rowcast to port {number} of 127.0.0.1 through");
    assert!(item.repair.starts_with(&expected), "{item:?}");
    let tcp = walk.steps.iter().find(|step| step.code == "tcp").unwrap();
    assert_eq!(tcp.saw, "timeout: tcp did not finish within 5s");
    assert_eq!(tcp.repair, item.repair);

    let _through = firewall.open(port);
    eventually("the source is reached", SOON, async || {
        world.service.test(world.source.clone()).await.passed
    })
    .await;
    world.is_right().await;
}
