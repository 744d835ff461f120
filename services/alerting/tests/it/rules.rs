//! Rules of users: what they watch, whom they tell, and what becomes of both.

use rowcast_bus::request::{AskError, ask};
use rowcast_domain::TaskState::{Abnormal, Running};
use rowcast_proto::message::{
    AlertRule, CaptureState, ContactRequest, DesiredState, Incident, PutRuleRequest, RuleRequest,
    Tag, TaskSpec,
};
use rowcast_proto::rest::{IncidentEvent, Severity};
use rowcast_proto::rpc::{DeleteContact, DeleteRule, PutRule};
use rowcast_testkit::eventually;

use crate::contacts::{self, Webhook};
use crate::delay::Buckets;
use crate::service::{Service, TASK, WAIT, changed};

const RULE: &str = "r000000000001";

fn rule(metric: &str, threshold: u64) -> AlertRule {
    AlertRule {
        id: RULE.to_owned(),
        name: "watch".to_owned(),
        metric: metric.to_owned(),
        threshold,
        severity: "critical".to_owned(),
        contacts: vec![contacts::ID.to_owned()],
        ..AlertRule::default()
    }
}

async fn put(service: &Service, rule: &AlertRule) -> Result<AlertRule, AskError> {
    let rule = Some(rule.clone());
    ask::<PutRule>(&service.bus, &PutRuleRequest { rule }, WAIT).await
}

async fn wish(buckets: &Buckets, env: &str) {
    let spec = TaskSpec {
        task_id: TASK.to_owned(),
        name: "orders".to_owned(),
        desired: DesiredState::Running.into(),
        tags: vec![Tag {
            key: "env".to_owned(),
            value: env.to_owned(),
        }],
        resource_group: "sales".to_owned(),
        ..TaskSpec::default()
    };
    let value = serde_json::to_vec(&spec).unwrap().into();
    buckets.wishes.put(TASK, value).await.unwrap();
}

/// The open incidents of the user's rule.
async fn open(service: &Service) -> Vec<Incident> {
    let mut open = service.incidents(TASK, true).await;
    open.retain(|incident| incident.rule_id == RULE);
    open
}

async fn becomes_open(service: &Service, number: usize) -> Vec<Incident> {
    eventually("the rule has so many incidents", WAIT, async || {
        open(service).await.len() == number
    })
    .await;
    open(service).await
}

fn code(refused: Result<AlertRule, AskError>) -> String {
    match refused {
        Err(AskError::Refused(refusal)) => refusal.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_late_task_is_told_of_once_whatever_is_killed() {
    let mut service = Service::start().await;
    let (webhook, url) = Webhook::start(&[]).await;
    contacts::put(&service, &url).await.unwrap();
    let buckets = Buckets::of(&service).await;
    let wanted = AlertRule {
        hold_seconds: 2,
        resource_group: "sales".to_owned(),
        tags: vec![Tag {
            key: "env".to_owned(),
            value: "prod".to_owned(),
        }],
        ..rule("task_delay_seconds", 2)
    };
    put(&service, &wanted).await.unwrap();
    wish(&buckets, "prod").await;
    buckets.report(CaptureState::Retrying, "0/20", "0/20").await;
    let incident = becomes_open(&service, 1).await.remove(0);
    assert_eq!(incident.rule, "task_delay_seconds");
    assert_eq!(
        (&*incident.rule_name, &*incident.severity),
        ("watch", "critical")
    );
    let told = webhook.is_told(1).await.remove(0).notice();
    let begun = told.incident.unwrap();
    assert_eq!(told.event, IncidentEvent::Raised);
    assert_eq!(begun.severity, Some(Severity::Critical));
    assert!(begun.summary.ends_with("; 2 s are allowed."), "{begun:?}");
    // What is not written down as told is told again, under the same id and later than this test waits.
    let database = service.postgres.client("rowcast").await.unwrap();
    eventually("it is written down", WAIT, async || {
        let ended = "SELECT FROM alerting.deliveries WHERE ended_at IS NOT NULL";
        database.query(ended, &[]).await.unwrap().len() == 1
    })
    .await;

    service.kill().await;
    service.copy();
    service.copy();
    eventually("alerting answers again", WAIT, async || {
        service.ask(Default::default()).await.is_ok()
    })
    .await;
    buckets.report(CaptureState::Running, "0/20", "0/30").await;
    assert_eq!(open(&service).await[0].id, incident.id);
    buckets.report(CaptureState::Running, "0/30", "0/30").await;
    becomes_open(&service, 0).await;
    let events: Vec<IncidentEvent> = webhook
        .is_told(2)
        .await
        .iter()
        .map(|told| told.notice().event)
        .collect();
    assert_eq!(events, [IncidentEvent::Raised, IncidentEvent::Resolved]);

    // Another label, and the rule speaks of other tasks.
    buckets.report(CaptureState::Retrying, "0/30", "0/30").await;
    becomes_open(&service, 1).await;
    wish(&buckets, "test").await;
    becomes_open(&service, 0).await;
}

#[tokio::test]
async fn what_is_wrong_with_a_task_is_a_rules_until_the_rule_goes() {
    let service = Service::start().await;
    let (webhook, url) = Webhook::start(&[]).await;
    contacts::put(&service, &url).await.unwrap();
    let buckets = Buckets::of(&service).await;
    wish(&buckets, "prod").await;
    let stored = put(&service, &rule("task_abnormal", 0)).await.unwrap();
    assert_eq!(stored.version, 1);
    service.tell(&changed(Running, Abnormal)).await;
    let incident = becomes_open(&service, 1).await.remove(0);
    assert_eq!(incident.error.unwrap().code, "SourceReplaced");
    let disabled = AlertRule {
        disabled: true,
        ..stored.clone()
    };
    put(&service, &disabled).await.unwrap();
    becomes_open(&service, 0).await;
    let again = AlertRule {
        version: 2,
        ..stored.clone()
    };
    put(&service, &again).await.unwrap();
    becomes_open(&service, 1).await;
    assert_eq!(code(put(&service, &stored).await), "version_changed");

    let contact = ContactRequest {
        contact_id: contacts::ID.to_owned(),
    };
    let refused = ask::<DeleteContact>(&service.bus, &contact, WAIT).await;
    match refused {
        Err(AskError::Refused(refusal)) => assert_eq!(refusal.code, "contact_in_use"),
        other => panic!("{other:?}"),
    }
    let gone = RuleRequest {
        rule_id: RULE.to_owned(),
    };
    ask::<DeleteRule>(&service.bus, &gone, WAIT).await.unwrap();
    becomes_open(&service, 0).await;
    // What the service itself has raised goes on, and so does what is to be told.
    assert_eq!(service.incidents(TASK, true).await.len(), 1);
    assert_eq!(webhook.is_told(4).await.len(), 4);
    ask::<DeleteContact>(&service.bus, &contact, WAIT)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_lasts_is_told_again() {
    let service = Service::start().await;
    let (webhook, url) = Webhook::start(&[]).await;
    contacts::put(&service, &url).await.unwrap();
    let buckets = Buckets::of(&service).await;
    wish(&buckets, "prod").await;
    let nobody = AlertRule {
        contacts: vec!["a000000000009".to_owned()],
        ..rule("task_abnormal", 0)
    };
    assert_eq!(code(put(&service, &nobody).await), "contact_not_found");
    let hourly = AlertRule {
        repeat_minutes: 60,
        ..rule("task_abnormal", 0)
    };
    put(&service, &hourly).await.unwrap();
    service.tell(&changed(Running, Abnormal)).await;
    webhook.is_told(1).await;
    let database = service.postgres.client("rowcast").await.unwrap();
    for times in 2..4 {
        // Who has not taken the last word yet is not told again.
        let waiting = "SELECT 1 FROM alerting.deliveries WHERE ended_at IS NULL";
        eventually("what was told is taken", WAIT, async || {
            database.query(waiting, &[]).await.unwrap().is_empty()
        })
        .await;
        // An hour passes.
        let earlier = "UPDATE alerting.incidents
                       SET opened_at = opened_at - interval '1 hour', told_at = told_at - interval '1 hour'";
        database.batch_execute(earlier).await.unwrap();
        let told = webhook.is_told(times).await.pop().unwrap();
        assert_eq!(told.notice().event, IncidentEvent::Repeated);
    }
    service.tell(&changed(Abnormal, Running)).await;
    let told = webhook.is_told(4).await.pop().unwrap();
    assert_eq!(told.notice().event, IncidentEvent::Resolved);
    assert_eq!(webhook.told().len(), 4);
}
