//! Contacts are told of incidents by their webhooks: once of each, signed, until they have taken it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use rowcast_bus::provision;
use rowcast_bus::request::{AskError, ask};
use rowcast_domain::Secret;
use rowcast_domain::TaskState::{Abnormal, Running};
use rowcast_proto::message::{
    Alerting, Contact, ContactRequest, PutContactRequest, SealedSecret, TaskSpec,
};
use rowcast_proto::rest::{IncidentEvent, IncidentNotice};
use rowcast_proto::rpc::{DeleteContact, ListContacts, PutContact, TestContact};
use rowcast_proto::stream::TASKS;
use rowcast_service::keyring::{self, Keyring};
use rowcast_testkit::eventually;
use tokio::net::TcpListener;

use crate::service::{KEY, Service, TASK, WAIT, changed};

pub(crate) const ID: &str = "a000000000001";
const SECRET: &str = "correct horse battery";

/// Longer than it takes to tell a contact twice.
const A_WHILE: Duration = Duration::from_secs(4);

/// What a webhook was told.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    headers: HeaderMap,
    body: String,
}

impl Told {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap().to_str().unwrap()
    }

    pub(crate) fn notice(&self) -> IncidentNotice {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A server that answers as it is told to, then with 200.
#[derive(Debug, Clone, Default)]
pub(crate) struct Webhook {
    answers: Arc<Mutex<Vec<StatusCode>>>,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Webhook {
    /// The server and its URL.
    #[expect(
        clippy::disallowed_methods,
        reason = "the test's runtime ends it with the test"
    )]
    pub(crate) async fn start(answers: &[StatusCode]) -> (Self, String) {
        let webhook = Self::default();
        webhook.answers.lock().unwrap().extend(answers);
        let hears = async |State(webhook): State<Self>, headers, body| webhook.hear(headers, body);
        let routes = axum::Router::new()
            .route("/hook", post(hears))
            .with_state(webhook.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (webhook, url)
    }

    fn hear(&self, headers: HeaderMap, body: String) -> StatusCode {
        self.told.lock().unwrap().push(Told { headers, body });
        let mut answers = self.answers.lock().unwrap();
        if answers.is_empty() {
            StatusCode::OK
        } else {
            answers.remove(0)
        }
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    pub(crate) async fn is_told(&self, times: usize) -> Vec<Told> {
        eventually("the webhook is told", WAIT, async || {
            self.told().len() >= times
        })
        .await;
        self.told()
    }
}

fn sealed(secret: &str) -> SealedSecret {
    let keyring = Keyring::from_secret(&Secret::new(KEY)).unwrap();
    let sealed = keyring.seal(&Secret::new(secret), &keyring::contact_secret(ID));
    let sealed = sealed.unwrap();
    SealedSecret {
        key_id: sealed.key_id,
        nonce: sealed.nonce,
        ciphertext: sealed.ciphertext,
    }
}

pub(crate) async fn put(service: &Service, url: &str) -> Result<Contact, AskError> {
    let wanted = PutContactRequest {
        contact: Some(Contact {
            id: ID.to_owned(),
            name: "on call".to_owned(),
            url: url.to_owned(),
            ..Contact::default()
        }),
        secret: Some(sealed(SECRET)),
    };
    ask::<PutContact>(&service.bus, &wanted, WAIT).await
}

/// The task's wish names the contact.
pub(crate) async fn name_contact(service: &Service) {
    let wishes = provision::bucket(&service.bus, &TASKS).await.unwrap();
    let spec = TaskSpec {
        task_id: TASK.to_owned(),
        alerting: Some(Alerting {
            contacts: vec![ID.to_owned(), "a000000000009".to_owned()],
            ..Alerting::default()
        }),
        ..TaskSpec::default()
    };
    let value = serde_json::to_vec(&spec).unwrap().into();
    wishes.put(TASK, value).await.unwrap();
}

#[tokio::test]
async fn a_contact_is_told_of_begin_and_end_signed_and_in_order() {
    let mut service = Service::start().await;
    service.copy();
    let failures = [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::FOUND];
    let (webhook, url) = Webhook::start(&failures).await;
    put(&service, &url).await.unwrap();
    name_contact(&service).await;
    service.tell(&changed(Running, Abnormal)).await;
    service.tell(&changed(Abnormal, Running)).await;

    // The first is told three times, each time under the same id, and the end only then.
    let told = webhook.is_told(4).await;
    let ids: Vec<&str> = told
        .iter()
        .map(|told| told.header("Rowcast-Delivery"))
        .collect();
    assert!(
        ids[0] == ids[1] && ids[1] == ids[2] && ids[2] != ids[3],
        "{ids:?}"
    );
    let events: Vec<IncidentEvent> = told.iter().map(|told| told.notice().event).collect();
    assert_eq!(
        events[2..],
        [IncidentEvent::Raised, IncidentEvent::Resolved]
    );
    let begun = told[0].notice().incident.unwrap();
    assert_eq!(begun.rule, "task_abnormal");
    let ended = told[3].notice().incident.unwrap();
    assert_eq!(ended.id, begun.id);
    assert!(begun.resolved_at.is_none() && ended.resolved_at.is_some());
    for told in &told {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
        let signed = format!("{}.{}", told.header("Rowcast-Timestamp"), told.body);
        let tag = told
            .header("Rowcast-Signature")
            .strip_prefix("v1=")
            .unwrap();
        let tag = data_encoding::HEXLOWER.decode(tag.as_bytes()).unwrap();
        ring::hmac::verify(&key, signed.as_bytes(), &tag).unwrap();
    }

    // Nothing of it is told again after a kill.
    service.kill().await;
    service.copy();
    service.copy();
    tokio::time::sleep(A_WHILE).await;
    eventually("alerting answers again", WAIT, async || {
        service.ask(Default::default()).await.is_ok()
    })
    .await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(webhook.told().len(), 4);
}

#[tokio::test]
async fn a_contact_is_kept_changed_tested_and_deleted() {
    let service = Service::start().await;
    let (webhook, url) = Webhook::start(&[StatusCode::GONE]).await;
    let made = put(&service, "https://hooks.example.invalid/a")
        .await
        .unwrap();
    let changed = put(&service, &url).await.unwrap();
    assert_eq!((changed.url, changed.created_at), (url, made.created_at));
    let listed = ask::<ListContacts>(&service.bus, &Default::default(), WAIT).await;
    assert_eq!(listed.unwrap().contacts.len(), 1);

    let named = ContactRequest {
        contact_id: ID.to_owned(),
    };
    let test = async || {
        ask::<TestContact>(&service.bus, &named, WAIT)
            .await
            .unwrap()
    };
    let refused = test().await;
    assert!(
        !refused.delivered && refused.detail.contains("410"),
        "{refused:?}"
    );
    assert!(test().await.delivered);
    assert_eq!(webhook.told()[1].notice().event, IncidentEvent::Test);

    ask::<DeleteContact>(&service.bus, &named, WAIT)
        .await
        .unwrap();
    match ask::<DeleteContact>(&service.bus, &named, WAIT).await {
        Err(AskError::Refused(error)) => assert_eq!(error.code, "contact_not_found"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn metadata_is_refused_when_a_contact_is_made() {
    let service = Service::start().await;
    for url in [
        "http://169.254.169.254/latest/meta-data",
        "http://2852039166/",
        "http://[::ffff:169.254.169.254]/",
        "ftp://hooks.example.com/",
    ] {
        match put(&service, url).await {
            Err(AskError::Refused(error)) => {
                assert_eq!(
                    (&*error.code, &*error.field),
                    ("url_refused", "url"),
                    "{url}"
                );
            }
            other => panic!("{url}: {other:?}"),
        }
    }
}
