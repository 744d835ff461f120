//! Incidents of consumer groups.

use rowcast_bus::{event_meta, provision};
use rowcast_proto::message::{GroupDeleted, GroupState, GroupStateChanged, TaskSpec};
use rowcast_proto::stream::TASKS;

use crate::service::{Service, TASK};

const GROUP: &str = "g000000000001";
const OTHER: &str = "g000000000002";

fn became(group: &str, to: GroupState) -> GroupStateChanged {
    GroupStateChanged {
        meta: Some(event_meta()),
        group_id: group.to_owned(),
        group_name: format!("reader {group}"),
        task_id: TASK.to_owned(),
        from: GroupState::Ok.into(),
        to: to.into(),
        reason: format!("it is {}.", to.as_str_name()),
        warning: None,
        dead_letters: None,
    }
}

/// The open incidents: rule and group.
async fn open(service: &Service) -> Vec<(String, String)> {
    service.settled().await;
    let mut open: Vec<_> = service
        .incidents(TASK, true)
        .await
        .into_iter()
        .map(|incident| (incident.rule, incident.group_id))
        .collect();
    open.sort();
    open
}

fn pair(rule: &str, group: &str) -> (String, String) {
    (rule.to_owned(), group.to_owned())
}

#[tokio::test]
async fn each_group_has_its_own_incident_and_a_warning_becomes_a_gap() {
    let service = Service::start().await;
    let wishes = provision::bucket(&service.bus, &TASKS).await.unwrap();
    let spec = TaskSpec {
        name: "orders".to_owned(),
        ..TaskSpec::default()
    };
    let spec = serde_json::to_vec(&spec).unwrap();
    wishes.put(TASK, spec.into()).await.unwrap();

    let warned = became(GROUP, GroupState::Warning);
    service.tell(&warned).await;
    service.tell_late(&warned).await;
    service.tell(&became(OTHER, GroupState::Warning)).await;
    let both = [pair("group_behind", GROUP), pair("group_behind", OTHER)];
    assert_eq!(open(&service).await, both);

    service.tell(&became(GROUP, GroupState::Gap)).await;
    let both = [pair("group_behind", OTHER), pair("group_gap", GROUP)];
    assert_eq!(open(&service).await, both);
    let all = service.incidents(TASK, true).await;
    let gap = all.iter().find(|one| one.rule == "group_gap").unwrap();
    assert_eq!(gap.task_name, "orders");
    assert_eq!(gap.group_name, format!("reader {GROUP}"));
    assert_eq!(
        gap.summary,
        format!("Group reader {GROUP} of task orders: it is GROUP_STATE_GAP.")
    );
    assert!(!gap.error.as_ref().unwrap().advice.is_empty());

    service.tell(&became(GROUP, GroupState::Blocked)).await;
    let both = [pair("group_behind", OTHER), pair("group_blocked", GROUP)];
    assert_eq!(open(&service).await, both);

    service.tell(&became(OTHER, GroupState::Blocked)).await;
    let behind_too = [
        pair("group_behind", OTHER),
        pair("group_blocked", GROUP),
        pair("group_blocked", OTHER),
    ];
    assert_eq!(open(&service).await, behind_too);
    service.tell(&became(OTHER, GroupState::Warning)).await;
    assert_eq!(open(&service).await, both);

    service.tell(&became(GROUP, GroupState::Ok)).await;
    assert_eq!(open(&service).await, [pair("group_behind", OTHER)]);
    assert_eq!(service.incidents(TASK, false).await.len(), 5);
}

#[tokio::test]
async fn a_blocked_group_is_warned_too_and_its_dead_letters_are_an_incident() {
    let service = Service::start().await;
    service.tell(&became(GROUP, GroupState::Blocked)).await;
    assert_eq!(open(&service).await, [pair("group_blocked", GROUP)]);
    let near = GroupStateChanged {
        from: GroupState::Blocked.into(),
        warning: Some("It will be removed soon.".to_owned()),
        dead_letters: Some(2),
        ..became(GROUP, GroupState::Blocked)
    };
    service.tell(&near).await;
    let all = [
        pair("group_behind", GROUP),
        pair("group_blocked", GROUP),
        pair("group_dead_letters", GROUP),
    ];
    assert_eq!(open(&service).await, all);
    let told = service.incidents(TASK, true).await;
    let summary_of = |rule: &str| {
        let mut told = told.iter();
        told.find(|one| one.rule == rule).unwrap().summary.clone()
    };
    assert!(summary_of("group_behind").ends_with(": It will be removed soon."));
    assert!(summary_of("group_dead_letters").ends_with(": 2 changes are dead letters."));

    // It has read on, and is still blocked; nobody has dealt with the letters.
    let far = GroupStateChanged {
        warning: Some(String::new()),
        ..near
    };
    let far = GroupStateChanged {
        meta: Some(event_meta()),
        ..far
    };
    service.tell(&far).await;
    assert_eq!(open(&service).await, all[1..]);
    let well = GroupStateChanged {
        warning: Some(String::new()),
        dead_letters: Some(0),
        ..became(GROUP, GroupState::Ok)
    };
    service.tell(&well).await;
    assert_eq!(open(&service).await, []);
}

#[tokio::test]
async fn the_incidents_of_a_deleted_group_end_and_what_comes_late_of_it_begins_none() {
    let service = Service::start().await;
    service.tell(&became(GROUP, GroupState::Gap)).await;
    assert_eq!(open(&service).await, [pair("group_gap", GROUP)]);
    let deleted = GroupDeleted {
        meta: Some(event_meta()),
        group_id: GROUP.to_owned(),
        task_id: TASK.to_owned(),
    };
    service.tell(&deleted).await;
    assert_eq!(open(&service).await, []);
    service.tell(&became(GROUP, GroupState::Gap)).await;
    assert_eq!(open(&service).await, []);
    service.tell(&became("no group", GroupState::Gap)).await;
    service.tell(&became(OTHER, GroupState::Warning)).await;
    assert_eq!(open(&service).await, [pair("group_behind", OTHER)]);
}
