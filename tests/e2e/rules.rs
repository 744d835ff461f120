//! A rule watches tasks by a tag, and tells a contact.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use rowcast_e2e::{PATIENCE, Shell, Shop};
use rowcast_proto::rest::{IncidentEvent, IncidentNotice, Rule, Severity};
use rowcast_testkit::eventually;
use tokio::net::TcpListener;

type Told = Arc<Mutex<Vec<IncidentNotice>>>;

/// How a rule is made, as its page says it.
fn example() -> &'static str {
    let page = include_str!("../../docs/alerting.md");
    let mut commands = page
        .lines()
        .filter_map(|line| line.strip_prefix("rowcast "));
    commands
        .find(|command| command.starts_with("rule create"))
        .unwrap()
}

/// A webhook and its URL.
#[expect(
    clippy::disallowed_methods,
    reason = "the test's runtime ends it with the test"
)]
async fn webhook() -> (Told, String) {
    let told = Told::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let hears = async |State(told): State<Told>, body: String| {
        told.lock()
            .unwrap()
            .push(serde_json::from_str(&body).unwrap());
    };
    let routes = axum::Router::new()
        .fallback(hears)
        .with_state(Arc::clone(&told));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (told, url)
}

async fn is_told(told: &Told, times: usize) -> Vec<IncidentNotice> {
    eventually("the contact is told", PATIENCE, async || {
        told.lock().unwrap().len() >= times
    })
    .await;
    told.lock().unwrap().clone()
}

#[tokio::test]
async fn a_rule_tells_that_a_task_is_late_and_that_it_is_no_longer() {
    let mut shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let shell = Shell::of(&shop.platform).unwrap();
    shell
        .write("webhook.secret", "correct-horse-battery")
        .unwrap();
    let (told, url) = webhook().await;
    let contact = format!("contact create oncall --webhook {url} --secret-file webhook.secret");
    shell.prints(&contact).await.unwrap();
    let rule: Rule = shell.json(example()).await.unwrap();
    shell
        .prints("task update shop --tag env=prod")
        .await
        .unwrap();

    // Nobody reads the source.
    shop.platform.kill("capture").await.unwrap();
    let begun = is_told(&told, 1).await.remove(0);
    assert_eq!(begun.event, IncidentEvent::Raised);
    let incident = begun.incident.unwrap();
    assert_eq!(incident.task_id, shop.task);
    assert_eq!(incident.rule_id, Some(rule.id.clone()));
    assert_eq!(incident.rule_name.as_deref(), Some("late"));
    assert_eq!(incident.severity, Some(Severity::Critical));
    let listed = shell.prints("incident list --open").await.unwrap();
    assert!(listed.contains("late"), "{listed}");

    shop.platform.kill("alerting").await.unwrap();
    shop.platform.restart("alerting").await.unwrap();
    shop.platform.restart("capture").await.unwrap();
    let ended = is_told(&told, 2).await.remove(1);
    assert_eq!(ended.event, IncidentEvent::Resolved);
    assert_eq!(ended.incident.unwrap().id, incident.id);
    let refused = shell.fails("contact delete oncall --yes").await.unwrap();
    assert!(refused.1.contains(rule.id.as_str()), "{refused:?}");
    shell.prints("rule delete late --yes").await.unwrap();
    shell.prints("contact delete oncall --yes").await.unwrap();
    assert_eq!(told.lock().unwrap().len(), 2);
}
