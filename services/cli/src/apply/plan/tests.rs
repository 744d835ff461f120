use rowcast_proto::rest::{ContactKind, OnExhausted};
use serde_json::{Value, json};

use super::*;

fn document(text: &str) -> Document {
    serde_saphyr::from_str(text).unwrap()
}

const FILE: &str = "
sources:
  - {name: shop, host: db, database: shop, account: tracker, password: {env: P}}
tasks:
  - name: orders
    source: shop
    objects: {schemas: [{name: public, tables: [orders, items]}]}
    state: running
    groups: [{name: warehouse, account: reader, password: {env: P}}]
";

/// What the platform says once the file was applied; members of `task` replace those of the task.
fn applied(task: &Value) -> Present {
    let source = json!({
        "tags": task["tags"].as_object().cloned().unwrap_or_default(),
        "id": "s000000000001", "name": "shop", "host": "db", "port": 5432, "database": "shop",
        "account": "tracker", "sslmode": "verify-full", "created_at": "2026-11-23T05:33:10Z",
    });
    let mut body = json!({
        "id": "t000000000001", "name": "orders", "source_id": "s000000000001", "database": "shop",
        "objects": {"schemas": [{"name": "public", "tables": ["items", "orders"]}]},
        "change_types": {"data": ["truncate", "insert", "update", "delete"]},
        "retry_minutes": 120, "retention": {"hours": 24}, "partitions": 16, "transactions": false,
        "state": "running", "stream": "RC_t000000000001",
        "created_at": "2026-11-23T05:33:10Z", "updated_at": "2026-11-23T05:33:10Z",
    });
    for (name, value) in task.as_object().unwrap() {
        body[name.as_str()] = value.clone();
    }
    let group = json!({
        "id": "g000000000001", "task_id": "t000000000001", "name": "warehouse", "account": "reader",
        "acknowledged_sequence": 0, "pending": 0, "in_flight": 0, "created_at": "2026-11-23T05:33:10Z",
    });
    Present {
        sources: vec![serde_json::from_value(source).unwrap()],
        tasks: vec![PresentTask {
            task: serde_json::from_value(body).unwrap(),
            groups: vec![serde_json::from_value(group).unwrap()],
            open_alerts: Vec::new(),
        }],
        ..Present::default()
    }
}

fn lines(steps: &[Step]) -> Vec<String> {
    steps.iter().map(|step| step.in_words().line()).collect()
}

#[test]
fn everything_is_made_where_nothing_is() {
    let steps = plan(&document(FILE), &Present::default()).unwrap();
    assert_eq!(
        lines(&steps),
        [
            "+ source shop (db:5432/shop)",
            "+ task orders (public.orders, public.items of source shop)",
            "+ group orders/warehouse (account reader)",
            "> task orders (precheck, purchase by the hour, start, as far as missing)",
        ]
    );
}

#[test]
fn a_file_says_how_an_instance_is_bought() {
    let months =
        "purchase: {charge_type: subscription, months: 12, auto_renew: true}\n    state: running";
    let bought = FILE.replace("state: running", months);
    let steps = plan(&document(&bought), &Present::default()).unwrap();
    assert_eq!(
        lines(&steps).last().map(String::as_str),
        Some(
            "> task orders (precheck, purchase for 12 months that renew themselves, start, as far as missing)"
        )
    );
}

#[test]
fn what_a_file_answers_for_is_ignored_once_it_is_told() {
    let answers = "ignored_checks: [{code: wal_keep, by: ada, reason: watched}, {code: clock, by: ada, reason: known}]
    state: running";
    let answering = document(&FILE.replace("state: running", answers));
    let steps = plan(&answering, &Present::default()).unwrap();
    assert_eq!(
        lines(&steps).last().map(String::as_str),
        Some(
            "> task orders (precheck without alerts of wal_keep, clock, purchase by the hour, start, as far as missing)"
        )
    );
    let mut there = applied(&json!({"state": "precheck_passed"}));
    there.tasks[0].open_alerts = vec!["wal_keep".to_owned(), "keys".to_owned()];
    let steps = plan(&answering, &there).unwrap();
    assert_eq!(lines(&steps)[0], "> alerts orders (wal_keep)");
    assert!(plan(&answering, &applied(&json!({}))).unwrap().is_empty());
}

#[test]
fn nothing_is_left_to_do_once_it_is_done() {
    assert!(
        plan(&document(FILE), &applied(&json!({})))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn only_what_differs_is_done() {
    let steps = |task: Value| lines(&plan(&document(FILE), &applied(&task)).unwrap());
    assert_eq!(
        steps(json!({"objects": {"all": true}})),
        ["~ objects orders (all tables → public.orders, public.items)"]
    );
    assert_eq!(
        steps(json!({"state": "suspended"})),
        ["> task orders (precheck, purchase by the hour, start, as far as missing)"]
    );
}

#[test]
fn what_the_api_changes_is_changed() {
    let moved = FILE.replace("host: db", "host: elsewhere, sslmode: require");
    let there = json!({"retry_minutes": 60, "retention": {"hours": 48}, "state": "not_started"});
    let steps = plan(&document(&moved), &applied(&there)).unwrap();
    assert_eq!(
        lines(&steps[..2]),
        [
            "~ source shop (host db → elsewhere, sslmode verify-full → require)",
            "~ task orders (retry_minutes 60 → 120)",
        ]
    );
    let Step::UpdateSource { patch, .. } = &steps[0] else {
        panic!("{steps:?}");
    };
    assert_eq!(patch.host.as_deref(), Some("elsewhere"));
    assert_eq!(patch.port, None);
}

#[test]
fn what_cannot_be_changed_is_told_all_at_once() {
    let there = json!({"transactions": true, "database": "other", "state": "abnormal"});
    let conflicts = plan(&document(FILE), &applied(&there)).unwrap_err();
    assert_eq!(conflicts.len(), 3, "{conflicts:?}");
    assert!(
        conflicts[1].contains("transactions is true"),
        "{conflicts:?}"
    );
    let orphan = FILE.replace("source: shop", "source: nobody");
    assert!(plan(&document(&orphan), &Present::default()).is_err());
}

#[test]
fn the_mode_of_a_group_is_chosen_once() {
    let keyed = FILE.replace("account: reader,", "account: reader, mode: keyed,");
    let steps = lines(&plan(&document(&keyed), &Present::default()).unwrap());
    assert!(steps.contains(&"+ group orders/warehouse (account reader, keyed)".to_owned()));
    let conflicts = plan(&document(&keyed), &applied(&json!({}))).unwrap_err();
    assert_eq!(
        conflicts,
        ["group orders/warehouse: mode is ordered and cannot be made keyed"]
    );
    let same = FILE.replace("account: reader,", "account: reader, mode: ordered,");
    let steps = plan(&document(&same), &applied(&json!({}))).unwrap();
    assert!(steps.is_empty(), "{steps:?}");
}

#[test]
fn the_format_of_a_task_is_that_of_its_groups() {
    let protobuf = FILE.replace("account: reader,", "account: reader, format: protobuf,");
    let conflicts = plan(&document(&protobuf), &applied(&json!({}))).unwrap_err();
    assert_eq!(
        conflicts,
        ["group orders/warehouse: format is json and cannot be made protobuf"]
    );
    let of_task = protobuf.replace("state: running", "state: running\n    format: protobuf");
    let there = applied(&json!({ "format": "protobuf" }));
    let steps = plan(&document(&of_task), &there).unwrap();
    assert!(steps.is_empty(), "{steps:?}");
}

#[test]
fn tasks_of_a_set_are_marked_and_stay_with_it() {
    let of_set = |file: &str| document(&format!("set: shop{file}"));
    let marked = json!({"tags": {"rowcast/set": "shop"}});
    let steps = plan(&of_set(FILE), &Present::default()).unwrap();
    let Step::CreateTask { tags, .. } = &steps[1] else {
        panic!("{steps:?}");
    };
    assert_eq!(tags.get("rowcast/set").map(String::as_str), Some("shop"));
    assert!(plan(&of_set(FILE), &applied(&marked)).unwrap().is_empty());
    // A file without a set leaves the mark alone, whatever tags it says.
    assert!(plan(&document(FILE), &applied(&marked)).unwrap().is_empty());
    let tagged = FILE.replace("state: running", "state: running\n    tags: {env: prod}");
    assert_eq!(
        lines(&plan(&document(&tagged), &applied(&marked)).unwrap()),
        ["~ task orders (tags rowcast/set=shop → env=prod, rowcast/set=shop)"]
    );
    // What it does not say is left alone, and what it says to be nothing is taken away.
    let by_hand = json!({"tags": {"team": "crm"}, "resource_group": "sales"});
    assert!(
        plan(&document(FILE), &applied(&by_hand))
            .unwrap()
            .is_empty()
    );
    let none = FILE.replace("state: running", "tags: {}\n    resource_group: ''");
    assert_eq!(
        lines(&plan(&document(&none), &applied(&by_hand)).unwrap()),
        ["~ task orders (tags team=crm → -, resource_group sales → -)"]
    );
    let others = json!({"tags": {"rowcast/set": "crm"}});
    let conflicts = plan(&of_set(FILE), &applied(&others)).unwrap_err();
    assert_eq!(conflicts.len(), 2, "{conflicts:?}");
    assert!(conflicts[1].contains("set is crm"), "{conflicts:?}");
}

#[test]
fn what_is_named_no_longer_goes_last() {
    let mut there = applied(&json!({"state": "suspended"}));
    let mut gone = there.tasks[0].task.clone();
    gone.name = "old".to_owned();
    there.unnamed.push(gone);
    let source = there.sources[0].clone();
    there.unnamed_sources.push(UnnamedSource {
        source,
        needed_by: Vec::new(),
    });
    let steps = lines(&plan(&document(FILE), &there).unwrap());
    assert_eq!(
        steps[1..],
        [
            "- task old (t000000000001, with its stream and all its groups)",
            "- source shop (s000000000001)",
        ]
    );
    there.unnamed_sources[0].needed_by.push("other".to_owned());
    let conflicts = plan(&document(FILE), &there).unwrap_err();
    assert!(conflicts[0].ends_with("need it: other"), "{conflicts:?}");
}

#[test]
fn less_retention_of_a_started_task_is_asked_for_and_no_word_of_it_changes_nothing() {
    let present = applied(&json!({"retention": {"hours": 48}}));
    assert!(plan(&document(FILE), &present).unwrap().is_empty());
    let keeping = |hours: u32, present: &Present| {
        let kept = format!("state: running\n    retention: {{hours: {hours}}}");
        let steps = plan(&document(&FILE.replace("state: running", &kept)), present).unwrap();
        (lines(&steps), crate::apply::shortened(&steps[0], present))
    };
    let (words, asked) = keeping(24, &present);
    assert_eq!(words, ["~ task orders (retention 48 h → 24 h)"]);
    assert_eq!(asked.as_deref(), Some("orders"));
    assert_eq!(keeping(72, &present).1, None);
    let fresh = applied(&json!({"retention": {"hours": 48}, "state": "not_started"}));
    assert_eq!(keeping(24, &fresh).1, None);
}

const ONCALL: &str = "
contacts:
  - {name: oncall, webhook: 'https://hooks.example/rowcast', secret: {env: S}}
";

fn contact(id: &str, url: &str) -> Contact {
    let contact = json!({
        "id": id, "name": "oncall", "kind": "webhook", "url": url,
        "created_at": "2026-11-23T05:33:10Z",
    });
    serde_json::from_value(contact).unwrap()
}

#[test]
fn contacts_are_made_before_the_tasks_that_name_them() {
    let alerted = FILE.replace("state:", "alerting: {contacts: [oncall]}\n    state:");
    let conflicts = plan(&document(&alerted), &Present::default()).unwrap_err();
    let said = "task orders: there is no contact \"oncall\", neither here nor in the file";
    assert_eq!(conflicts, [said]);

    let file = document(&format!("{alerted}{ONCALL}"));
    let steps = lines(&plan(&file, &Present::default()).unwrap());
    assert_eq!(
        steps[1..3],
        [
            "+ contact oncall (https://hooks.example/rowcast)",
            "+ task orders (public.orders, public.items of source shop)",
        ]
    );
}

#[test]
fn a_task_names_contacts_by_name_or_id_in_any_order() {
    let url = "https://hooks.example/rowcast";
    let (one, other) = ("a000000000001", "a000000000002");
    let mut second = contact(other, url);
    second.name = "office".to_owned();
    let there = |contacts: &[&str]| {
        let mut present = applied(&json!({ "alerting": { "contacts": contacts } }));
        present.contacts = vec![contact(one, url), second.clone()];
        present
    };
    let named = FILE.replace(
        "state:",
        "alerting: {contacts: [office, a000000000001]}\n    state:",
    );
    let file = document(&format!("{named}{ONCALL}"));
    assert!(plan(&file, &there(&[one, other])).unwrap().is_empty());
    assert_eq!(
        lines(&plan(&file, &there(&[one])).unwrap()),
        ["~ task orders (alerting contact oncall → contact office, contact oncall)"]
    );
}

#[test]
fn of_a_contact_its_kind_stays_and_names_are_unique() {
    let file = document(ONCALL);
    let there = |contacts| Present {
        contacts,
        ..Present::default()
    };
    let moved = there(vec![contact("a000000000001", "https://old.example/")]);
    assert_eq!(
        lines(&plan(&file, &moved).unwrap()),
        ["~ contact oncall (webhook https://old.example/ → https://hooks.example/rowcast)"]
    );
    let mail = Contact {
        kind: ContactKind::Email,
        ..contact("a000000000001", "https://old.example/")
    };
    assert_eq!(
        plan(&file, &there(vec![mail])).unwrap_err(),
        ["contact oncall: told by is e-mail and cannot be made webhook"]
    );
    let twins = ["a000000000001", "a000000000002"].map(|id| contact(id, "https://old.example/"));
    assert_eq!(
        plan(&file, &there(twins.into())).unwrap_err(),
        ["more than one contact is named \"oncall\""]
    );
}

#[test]
fn how_often_a_group_is_sent_a_change_is_changed() {
    let file = FILE.replace("account: reader,", "account: reader, max_deliver: 5,");
    let mut there = applied(&json!({}));
    there.tasks[0].groups[0].max_deliver = Some(10);
    assert_eq!(
        lines(&plan(&document(&file), &there).unwrap()),
        ["~ group orders/warehouse (max_deliver 10 → 5)"]
    );
    there.tasks[0].groups[0].max_deliver = Some(5);
    assert!(plan(&document(&file), &there).unwrap().is_empty());
}

#[test]
fn what_becomes_of_an_exhausted_change_is_changed() {
    let file = FILE.replace(
        "account: reader,",
        "account: reader, on_exhausted: dead_letter,",
    );
    let mut there = applied(&json!({}));
    assert_eq!(
        lines(&plan(&document(&file), &there).unwrap()),
        ["~ group orders/warehouse (on_exhausted block → dead_letter)"]
    );
    there.tasks[0].groups[0].on_exhausted = Some(OnExhausted::DeadLetter);
    assert!(plan(&document(&file), &there).unwrap().is_empty());
}

#[test]
fn the_policy_of_a_group_that_has_a_stream_of_its_own_is_changed() {
    let keep = |column: &str| format!("e_keep(`{column}`)");
    let with = |script: &str| {
        let etl = format!("account: reader, etl: {{script: '{script}'}},");
        document(&FILE.replace("account: reader,", &etl))
    };
    let file = with(&keep("paid"));
    let mut there = applied(&json!({}));
    assert_eq!(
        plan(&file, &there).unwrap_err(),
        [
            "group orders/warehouse: etl is none and cannot be made \"e_keep(`paid`)\" (on_error park)"
        ]
    );
    let none = with("");
    assert!(plan(&none, &there).unwrap().is_empty());
    let group = &mut there.tasks[0].groups[0];
    group.etl =
        serde_json::from_value(json!({ "script": keep("open"), "on_error": "stop" })).unwrap();
    assert_eq!(
        lines(&plan(&file, &there).unwrap()),
        [
            "~ group orders/warehouse (etl \"e_keep(`open`)\" (on_error stop) → \"e_keep(`paid`)\" (on_error park))"
        ]
    );
    let steps = plan(&none, &there).unwrap();
    let [Step::UpdateGroup { patch, .. }] = steps.as_slice() else {
        panic!("{steps:?}");
    };
    assert_eq!(patch.etl, Some(None));
}

#[test]
fn a_rule_is_made_and_changed_and_names_what_is_there() {
    let rules = "
rules:
  - {name: late, metric: task_delay_seconds, threshold: 60, tasks: [orders], contacts: [oncall]}
";
    let file = document(&format!("{FILE}{ONCALL}{rules}"));
    let made = lines(&plan(&file, &Present::default()).unwrap());
    let position = |line: &str| made.iter().position(|made| made.starts_with(line)).unwrap();
    assert!(position("+ task orders") < position("+ rule late (task_delay_seconds)"));

    let there = |threshold: u32, tasks: Value| Present {
        rules: vec![
            serde_json::from_value(json!({
                "id": "r000000000001", "name": "late", "metric": "task_delay_seconds",
                "threshold": threshold, "hold_seconds": 0, "severity": "warning", "tags": {},
                "task_ids": tasks, "contacts": ["a000000000001"], "enabled": true,
                "created_at": "2026-11-23T05:33:10Z",
            }))
            .unwrap(),
        ],
        task_names: [("t000000000001".to_owned(), "orders".to_owned())].into(),
        contacts: vec![contact("a000000000001", "https://hooks.example/rowcast")],
        ..applied(&json!({}))
    };
    let of_rules = |present: &Present| {
        let mut lines = lines(&plan(&file, present).unwrap());
        lines.retain(|line| line.contains(" rule "));
        lines
    };
    let same = there(60, json!(["t000000000001"]));
    assert!(of_rules(&same).is_empty());
    assert_eq!(
        of_rules(&there(30, json!([]))),
        ["~ rule late (threshold 30 → 60, tasks - → orders)"]
    );
    let other = document(
        &rules
            .replace("orders", "nothing")
            .replace("oncall", "nobody"),
    );
    assert_eq!(
        plan(&other, &Present::default()).unwrap_err(),
        [
            "rule late: there is no task \"nothing\", neither here nor in the file",
            "rule late: there is no contact \"nobody\", neither here nor in the file",
        ]
    );
}
