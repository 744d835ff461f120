//! A PostgreSQL server of the test's own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rowcast_domain::Secret;
use rowcast_pg::{ConnectOptions, Networks, Session, SslMode, connect};

pub(crate) struct Server {
    pub(crate) port: u16,
    dir: PathBuf,
    child: Child,
}

fn as_postgres(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=postgres",
        "--regid=postgres",
        "--clear-groups",
        "--pdeathsig",
        "KILL",
        program,
    ]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

impl Server {
    pub(crate) async fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let dir = PathBuf::from(format!("/tmp/pgt-{port}"));
        std::fs::create_dir(&dir).unwrap();
        Command::new("chown")
            .arg("postgres")
            .arg(&dir)
            .status()
            .unwrap();
        std::fs::write(dir.join("pw"), "super secret").unwrap();
        let data = dir.join("data");
        assert!(
            as_postgres("initdb")
                .arg("-D")
                .arg(&data)
                .args(["-U", "postgres", "-A", "scram-sha-256", "--pwfile"])
                .arg(dir.join("pw"))
                .status()
                .unwrap()
                .success()
        );
        let child = as_postgres("postgres")
            .arg("-D")
            .arg(&data)
            .args([
                "-c",
                "wal_level=logical",
                "-c",
                "fsync=off",
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                &format!("port={port}"),
                "-c",
            ])
            .arg(format!("unix_socket_directories={}", dir.display()))
            .spawn()
            .unwrap();
        let server = Self { port, dir, child };
        for _ in 0..200 {
            if connect(&server.options()).await.is_ok() {
                return server;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no server");
    }

    /// As superuser, over TCP.
    pub(crate) fn options(&self) -> ConnectOptions {
        options(self.port)
    }

    /// As superuser, through the Unix-domain socket.
    pub(crate) fn socket_options(&self) -> ConnectOptions {
        ConnectOptions {
            host: self.dir.display().to_string(),
            ..self.options()
        }
    }

    pub(crate) async fn session(&self) -> Session {
        connect(&self.options()).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::fs::remove_dir_all(&self.dir).unwrap();
    }
}

pub(crate) const PASSWORD: &str = "super secret";

/// The superuser of a server on this port, without TLS.
pub(crate) fn options(port: u16) -> ConnectOptions {
    ConnectOptions {
        host: "127.0.0.1".to_owned(),
        port,
        database: "postgres".to_owned(),
        user: "postgres".to_owned(),
        password: Secret::new(PASSWORD),
        ssl_mode: SslMode::Disable,
        ssl_root_cert: None,
        client_certificate: None,
        networks: Networks::default(),
        application_name: "rowcast-test".to_owned(),
        connect_timeout: Duration::from_secs(10),
    }
}

/// Waits until a fact holds.
pub(crate) async fn eventually(what: &str, fact: impl AsyncFn() -> bool) {
    let wait = async {
        while !fact().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .unwrap_or_else(|_elapsed| panic!("{what}: not within 20 s"));
}
