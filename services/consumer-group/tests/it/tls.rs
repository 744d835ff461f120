//! NATS with TLS, by a certificate that a private authority has signed.

use std::path::Path;

use rowcast_bus::async_nats::connection::State;
use rowcast_bus::async_nats::{ConnectErrorKind, ConnectOptions};
use rowcast_domain::TaskId;
use rowcast_proto::message as m;
use rowcast_proto::rpc::UpdateGroup;
use rowcast_testkit::{Nats, eventually, openssl};

use crate::fixture::{CUT, Member, PASSWORD, Service, bodies, read};
use crate::update::update;

/// A certificate for 127.0.0.1 that is its own authority.
fn certificate(folder: &Path) {
    let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=nats
        -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=CA:FALSE -keyout nats.key -out nats.crt";
    openssl(folder, arguments);
}

fn options(member: &Member, password: &str, authority: &Path) -> ConnectOptions {
    let login = member.connection.login.clone();
    ConnectOptions::with_user_and_password(login, password.to_owned())
        .custom_inbox_prefix(member.connection.inbox_prefix.clone())
        .add_root_certificates(authority.to_owned())
        .require_tls(true)
}

/// The service is told of the authority as any program is, and members of the URL.
#[tokio::test]
async fn logins_over_tls_are_judged_and_cut_off_as_others_are() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    certificate(folder.path());
    let authority = folder.path().join("nats.crt");
    let mut nats = Nats::start().await?;
    // The test's own connections go without TLS.
    let tls = format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\" }}\nallow_non_tls: true",
        authority.display(),
        folder.path().join("nats.key").display()
    );
    nats.restart_with(&tls).await?;
    let url: &'static str = nats.url().replace("nats://", "tls://").leak();
    let trusted: &'static str = authority.display().to_string().leak();
    let settings = [("ROWCAST_NATS_URL", url), ("SSL_CERT_FILE", trusted)];
    let service = Service::start_on(nats, &settings).await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.group(&task, "orders").await?;
    assert_eq!(member.connection.urls, [url]);
    let connect = async |password| options(&member, password, &authority).connect(url).await;

    let client = connect(PASSWORD).await?;
    service.change(&task, "1").await?;
    let changes = read(&member.consumer(&client).await?, 1).await?;
    assert_eq!(bodies(&changes), ["1"]);
    let refused = connect("hunter2B").await.unwrap_err();
    assert_eq!(refused.kind(), ConnectErrorKind::AuthorizationViolation);

    let wish = m::UpdateGroupRequest {
        password: Some(service.seal(&task, "Another-horse-9")),
        ..update(&member.group)
    };
    service.ask::<UpdateGroup>(&wish).await?;
    eventually("the client is cut off", CUT, async || {
        client.connection_state() != State::Connected
    })
    .await;
    assert!(connect(PASSWORD).await.is_err());
    assert!(connect("Another-horse-9").await.is_ok());
    Ok(())
}
