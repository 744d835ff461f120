//! A real `PgBouncer` before the source.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rowcast_proto::message::{CheckOutcome, SourceConnection};
use rowcast_testkit::eventually;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::service::{Service, codes, item};

const LIMIT: Duration = Duration::from_secs(10);

struct Pooler {
    port: u16,
    _process: Child,
    _folder: TempDir,
}

impl Pooler {
    /// Before the server of a service, with one more setting.
    async fn start(service: &Service, setting: &str) -> Self {
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"];
        let Some(program) = program.into_iter().find(|path| Path::new(path).exists()) else {
            panic!("pgbouncer is not installed: ./dev test installs it");
        };
        let folder = tempfile::tempdir().unwrap();
        // It does not run as root, and must read its files as somebody else.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let users = folder.path().join("users");
        let password = service.postgres.password();
        std::fs::write(&users, format!("\"postgres\" \"{password}\"\n")).unwrap();
        let port = free_port();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\n{setting}\n",
            service.postgres.port(),
            users.display(),
        );
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new(program);
        if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
            command.args(["-u", "nobody"]);
        }
        let process = command
            .arg(&file)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        eventually("PgBouncer listens", LIMIT, async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_ok()
        })
        .await;
        Self {
            port,
            _process: process,
            _folder: folder,
        }
    }

    /// The service's source by way of it.
    fn source(&self, service: &Service) -> SourceConnection {
        SourceConnection {
            port: self.port.into(),
            ..service.superuser()
        }
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_pooler_is_told_from_a_server_that_refuses() {
    let service = Service::start().await;
    let pooler = Pooler::start(&service, "").await;
    let report = service.report(pooler.source(&service), &["orders"]).await;
    let found = item(&report, "connectivity");
    assert_eq!(found.outcome(), CheckOutcome::Fail, "{found:?}");
    assert!(found.saw.starts_with("pooler: "), "{found:?}");
    assert!(found.cause.contains(&pooler.port.to_string()), "{found:?}");
    assert!(found.repair.contains("PostgreSQL itself"), "{found:?}");
}

#[tokio::test]
async fn a_pooler_that_lets_sql_through_passes_no_stream() {
    let service = Service::start().await;
    service
        .sql("CREATE TABLE orders (id int PRIMARY KEY)")
        .await;
    let lenient = "pool_mode = session\nignore_startup_parameters = options";
    let pooler = Pooler::start(&service, lenient).await;
    let report = service.report(pooler.source(&service), &["orders"]).await;
    assert_eq!(codes(&report, CheckOutcome::Fail), ["replication_login"]);
    let found = item(&report, "replication_login");
    assert!(found.saw.starts_with("pooler: "), "{found:?}");
    assert!(!report.passed);

    let direct = service.report(service.superuser(), &["orders"]).await;
    assert!(direct.passed, "{direct:?}");
}
