//! Contacts are told of incidents by mail, by a real mail server.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use rowcast_bus::request::{AskError, ask};
use rowcast_domain::TaskState::{Abnormal, Running};
use rowcast_proto::message::{Contact, PutContactRequest};
use rowcast_proto::rpc::PutContact;
use rowcast_testkit::eventually;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::contacts::{ID, name_contact};
use crate::service::{Service, WAIT, changed};

/// Where `./dev test` puts aiosmtpd.
const LIBRARIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.tools/smtp");

/// Longer than it takes to send a mail twice.
const A_WHILE: Duration = Duration::from_secs(4);

/// A server that keeps each mail as a file of `box/new`.
fn server(port: u16, folder: &Path) -> Child {
    Command::new("python3")
        .args(["-m", "aiosmtpd", "--nosetuid", "--listen"])
        .arg(format!("127.0.0.1:{port}"))
        .args(["--class", "aiosmtpd.handlers.Mailbox"])
        .arg(folder.join("box"))
        .env("PYTHONPATH", LIBRARIES)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

fn mails(folder: &Path) -> Vec<String> {
    let Ok(files) = std::fs::read_dir(folder.join("box/new")) else {
        return Vec::new();
    };
    let mut mails: Vec<String> = files
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    mails.sort();
    mails
}

async fn put(service: &Service, address: &str) -> Result<Contact, AskError> {
    let wanted = PutContactRequest {
        contact: Some(Contact {
            id: ID.to_owned(),
            name: "on call".to_owned(),
            address: address.to_owned(),
            ..Contact::default()
        }),
        secret: None,
    };
    ask::<PutContact>(&service.bus, &wanted, WAIT).await
}

fn code(answer: Result<Contact, AskError>) -> String {
    match answer {
        Err(AskError::Refused(error)) => error.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_contact_is_sent_one_mail_for_the_begin_and_one_for_the_end() {
    let folder = TempDir::new().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let port = port.unwrap().port();
    let settings = vec![
        ("ROWCAST_SMTP_URL", format!("smtp://127.0.0.1:{port}")),
        (
            "ROWCAST_MAIL_FROM",
            "Rowcast <rowcast@example.com>".to_owned(),
        ),
    ];
    let service = Service::start_with(settings).await;
    let evil = put(&service, "ops@example.com\r\nBcc: all@example.com").await;
    assert_eq!(code(evil), "address_refused");
    put(&service, "ops@example.com").await.unwrap();
    name_contact(&service).await;
    service.tell(&changed(Running, Abnormal)).await;
    service.settled().await;
    // Nobody takes mail yet: it is sent again.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let _server = server(port, folder.path());
    let are_sent = async |number: usize| {
        eventually("mail is sent", WAIT, async || {
            mails(folder.path()).len() >= number
        })
        .await;
    };
    are_sent(1).await;
    service.tell(&changed(Abnormal, Running)).await;
    are_sent(2).await;
    tokio::time::sleep(A_WHILE).await;
    let mails = mails(folder.path());
    assert_eq!(mails.len(), 2, "{mails:?}");
    for event in ["raised", "resolved"] {
        let subject = format!("Subject: [Rowcast] {event}: task_abnormal of orders");
        let found = mails.iter().filter(|mail| mail.contains(&subject));
        assert_eq!(found.count(), 1, "{mails:?}");
    }
    for mail in &mails {
        for part in [
            "From: Rowcast <rowcast@example.com>",
            "To: ops@example.com",
            "@rowcast.invalid>",
            "SourceReplaced",
        ] {
            assert!(mail.contains(part), "{part}: {mail}");
        }
    }
}

#[tokio::test]
async fn a_platform_without_a_mail_server_says_so() {
    let service = Service::start().await;
    let refused = put(&service, "ops@example.com").await;
    assert_eq!(code(refused), "mail_not_set_up");
}
