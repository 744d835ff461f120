//! A group with a policy of its own, read by a client that knows nothing of Rowcast.

use rowcast_client::Operation;
use rowcast_e2e::{Language, PATIENCE, Sample, Shop};
use rowcast_proto::rest;
use rowcast_testkit::eventually;
use serde_json::{Value, json};

use crate::first_change::read_by_python;

/// What a policy must see as PostgreSQL writes it: a number, a document, an array, a time.
const POLICY: &str = "
    e_if(__TB__ == 'orders', e_keep(`total` >= 10))
    e_if(__TB__ == 'orders', e_set(`details`, 'none'))
    e_if(__TB__ == 'customers', e_keep(`tags` == '{vip,\"new, york\"}'))
    e_if(__TB__ == 'customers', e_set(`name`, str_mask(`name`, 1, 9, '*')))
";

const CHANGES: &str = r#"
    INSERT INTO shop.customers (name, tags) VALUES ('Ada', '{vip,"new, york"}'), ('Bob', '{}');
    INSERT INTO shop.orders (id, customer_id, total, details)
        VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 1, 19.90, '{"gift": true}'),
               ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12', 2, 9.99, '{}');
    UPDATE shop.orders SET paid = true;
"#;

async fn shown(shop: &Shop) -> rest::Group {
    let list: rest::GroupList = shop.api.get(&shop.path("groups")).await.unwrap();
    let mut groups = list.groups.into_iter();
    groups.find(|group| group.name == "masked").unwrap()
}

#[tokio::test]
async fn a_group_is_told_by_its_own_policy_what_others_are_told_whole() {
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let of_own =
        json!({ "etl": { "script": POLICY, "on_error": "stop" }, "format": "cloudevents" });
    let masked = shop.group_as("masked", &of_own).await.unwrap();
    let plain = shop.group("plain").await.unwrap();
    let [masked, plain] =
        [masked, plain].map(|group| Sample::new("consume", Language::Python, &group).unwrap());
    shop.sql.batch_execute(CHANGES).await.unwrap();

    // Its consumer is made with its stream.
    eventually("something waits", PATIENCE, async || {
        shown(&shop).await.pending >= 3
    })
    .await;
    let changes = read_by_python(&masked, 3).await;
    let told: Vec<(Operation, &str)> = changes
        .iter()
        .map(|change| (change.op, change.table.as_deref().unwrap()))
        .collect();
    let expected = [
        (Operation::Insert, "customers"),
        (Operation::Insert, "orders"),
        (Operation::Update, "orders"),
    ];
    assert_eq!(told, expected);
    assert_eq!(changes[0].after.as_ref().unwrap()["name"], json!("A**"));
    let order = changes[2].after.as_ref().unwrap();
    assert_eq!(
        (&order["total"], &order["paid"]),
        (&json!("19.90"), &json!(true))
    );
    assert_eq!(order["details"], json!("none"));
    assert_eq!(read_by_python(&plain, 6).await.len(), 6);

    eventually("the own stream is made of all", PATIENCE, async || {
        let derivation = shown(&shop).await.status.unwrap().derivation.unwrap();
        derivation.state == rest::DerivationState::Running && derivation.behind == 0
    })
    .await;
    let wrong = json!({ "etl": { "script": "e_drp()" } });
    let refused = shop.group_as("wrong", &wrong).await.map(drop);
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("etl.script") && refused.contains("line 1"),
        "{refused}"
    );
    let thrift: Result<Value, _> = shop
        .api
        .post(&shop.path("groups"), &json!({ "name": "thrift", "account": "reader", "password": "Reader-pw1", "format": "thrift" }))
        .await;
    let refused = thrift.unwrap_err().to_string();
    assert!(refused.contains("thrift"), "{refused}");
}
