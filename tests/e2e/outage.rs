//! Who checks logins and who answers requests are away for long: what runs goes on, and all is well when they are back.

use std::ops::RangeInclusive;
use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use futures::StreamExt as _;
use rowcast_client::{Change, Subscription};
use rowcast_domain::TaskState;
use rowcast_e2e::{Group, PATIENCE, Shop, is_count, read_on_until, read_until, variable};
use rowcast_testkit::eventually;
use serde_json::{Value, json};
use tokio::time::Instant;

/// Seconds for which they are away, where `ROWCAST_TEST_OUTAGE_SECONDS` does not say it: longer than any lease.
const OUTAGE: u64 = 20;

/// Between two rows.
const PACE: Duration = Duration::from_millis(100);

/// Within this a row is told, to whoever is connected.
const TOLD: Duration = Duration::from_secs(10);

/// Two of three rows.
const POLICY: &str = "e_if(__TB__ == 'counter', e_keep(`n` % 3 != 0))";

fn is_kept(number: i64) -> bool {
    number % 3 != 0
}

fn number(change: &Change) -> Option<i64> {
    change.after.as_ref()?.get("n")?.as_i64()
}

/// Two groups with a client each that was let in before, and how many rows there are.
struct Connected {
    member: Subscription,
    stock: PullConsumer,
    rows: i64,
}

impl Connected {
    async fn to(sdk: &Group, plain: &Group) -> Self {
        Self {
            member: sdk.subscribe().await.unwrap(),
            stock: plain.stock_consumer().await.unwrap(),
            rows: 0,
        }
    }

    /// One more row is told to both, next and once, and they acknowledge it.
    async fn are_told(&mut self, shop: &Shop) {
        self.write(shop).await;
        let begun = Instant::now();
        let told = read_until(&mut self.member, |change| is_count(change, self.rows)).await;
        let told: Vec<Option<i64>> = told.unwrap().iter().map(number).collect();
        assert_eq!(told, [Some(self.rows)], "by the SDK");
        assert_eq!(next_row(&self.stock).await, self.rows, "by a stock client");
        assert!(begun.elapsed() < TOLD, "{:?}", begun.elapsed());
    }

    /// As [`Self::are_told`], while services begin: that may take as long as anything, and acknowledgements may be lost.
    async fn are_told_in_the_end(&mut self, shop: &Shop) {
        self.write(shop).await;
        let told = read_on_until(&mut self.member, |change| is_count(change, self.rows)).await;
        let told: Vec<Option<i64>> = told.unwrap().iter().map(number).collect();
        assert_eq!(told, [Some(self.rows)], "by the SDK");
        assert_eq!(next_row(&self.stock).await, self.rows, "by a stock client");
    }

    async fn write(&mut self, shop: &Shop) {
        self.rows += 1;
        let row = format!("INSERT INTO shop.counter VALUES ({})", self.rows);
        shop.sql.batch_execute(&row).await.unwrap();
    }
}

/// The number of the next row, with everything up to it acknowledged.
async fn next_row(consumer: &PullConsumer) -> i64 {
    let until = Instant::now() + PATIENCE;
    loop {
        let mut batch = consumer.fetch().max_messages(1).messages().await.unwrap();
        while let Some(message) = batch.next().await {
            let message = message.unwrap();
            message.double_ack().await.unwrap();
            let body: Value = serde_json::from_slice(&message.payload).unwrap();
            if let Some(number) = body["after"]["n"].as_i64() {
                return number;
            }
        }
        assert!(Instant::now() < until, "no further row");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Nobody new is let in, and nobody is left waiting for that.
async fn is_refused(sdk: &Group, plain: &Group) {
    let begun = Instant::now();
    let refused = sdk.subscribe().await.unwrap_err().to_string();
    let away = "the service that checks logins is away";
    assert!(refused.contains(away), "{refused}");
    let stock = plain.stock_consumer().await;
    assert!(stock.is_err(), "a stock client is let in");
    assert!(begun.elapsed() < 2 * TOLD, "{:?}", begun.elapsed());
}

/// Of these rows those that this keeps are told next, all of them and in order.
async fn is_told(member: &mut Subscription, rows: RangeInclusive<i64>, keeps: fn(i64) -> bool) {
    let due: Vec<Option<i64>> = rows.filter(|row| keeps(*row)).map(Some).collect();
    let last = due.last().copied().flatten().unwrap();
    let told = read_until(member, |change| is_count(change, last)).await;
    let told: Vec<Option<i64>> = told.unwrap().iter().map(number).collect();
    assert_eq!(told, due);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_connected_goes_on_while_nobody_answers_and_all_is_well_afterwards() {
    let seconds = variable("ROWCAST_TEST_OUTAGE_SECONDS").unwrap_or(OUTAGE);
    eprintln!("ROWCAST_TEST_OUTAGE_SECONDS={seconds}");
    let mut shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let sdk = shop.group("sdk").await.unwrap();
    let plain = shop.group("plain").await.unwrap();
    let of_own = json!({ "etl": { "script": POLICY, "on_error": "stop" } });
    let derived = shop.group_as("derived", &of_own).await.unwrap();
    // Its consumer is made with its stream.
    eventually("the own stream can be read", PATIENCE, async || {
        derived.subscribe().await.is_ok()
    })
    .await;
    let mut of_derived = derived.subscribe().await.unwrap();
    let mut connected = Connected::to(&sdk, &plain).await;
    connected.are_told(&shop).await;
    is_told(&mut of_derived, 1..=1, is_kept).await;
    let lived = shop.events().await.unwrap().len();

    for service in ["consumer-group", "task-api"] {
        shop.platform.kill(service).await.unwrap();
    }
    let until = Instant::now() + Duration::from_secs(seconds);
    is_refused(&sdk, &plain).await;
    assert!(shop.task().await.is_err());
    while Instant::now() < until {
        connected.are_told(&shop).await;
        tokio::time::sleep(PACE).await;
    }
    is_refused(&sdk, &plain).await;
    for service in ["consumer-group", "task-api"] {
        shop.platform.restart(service).await.unwrap();
    }

    connected.are_told_in_the_end(&shop).await;
    shop.reaches(TaskState::Running).await;
    let events = shop.events().await.unwrap();
    assert_eq!(events.len(), lived, "the task has not just run: {events:?}");
    eventually("a new login is let in", PATIENCE, async || {
        sdk.subscribe().await.is_ok()
    })
    .await;
    let late = shop.group("late").await.unwrap();
    let mut newcomer = late.subscribe().await.unwrap();
    is_told(&mut newcomer, 1..=connected.rows, |_row| true).await;
    is_told(&mut of_derived, 2..=connected.rows, is_kept).await;
    // And they still do.
    connected.are_told(&shop).await;
}
