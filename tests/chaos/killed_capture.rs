//! Capture dies without a word, again and again, while the source goes on.

use std::time::Duration;

use rowcast_e2e::{PATIENCE, Shop};
use rowcast_testkit::{eventually, read_stream, rows_in_order, stream_length};
use tokio_util::sync::CancellationToken;

const TRANSACTIONS: u64 = 20_000;
const KILLS: u64 = 10;

/// Time between two transactions: a steady shop, not a burst that is over before the second kill.
const PACE: Duration = Duration::from_millis(2);

/// Single-row transactions 0, 1, 2, …, until there are enough and the last kill has happened. Returns
/// how many.
async fn write(sql: &tokio_postgres::Client, killed: &CancellationToken) -> u64 {
    let insert = sql
        .prepare("INSERT INTO shop.counter VALUES ($1)")
        .await
        .unwrap();
    let mut count = 0;
    while count < TRANSACTIONS || !killed.is_cancelled() {
        sql.execute(&insert, &[&i64::try_from(count).unwrap()])
            .await
            .unwrap();
        count += 1;
        tokio::time::sleep(PACE).await;
    }
    count
}

#[tokio::test]
async fn ten_kills_during_twenty_thousand_transactions_lose_repeat_and_reorder_nothing() {
    let mut shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let data = rowcast_e2e::data(&shop.platform).await.unwrap();
    let task = shop.task.clone();
    let (platform, sql) = (&mut shop.platform, &shop.tracked.sql);
    let killed = CancellationToken::new();
    let kills = async {
        for kill in 1..=KILLS {
            // Each kill falls in the middle of publishing: only after the stream has grown since the
            // last one.
            let before = stream_length(&data, &task).await.unwrap();
            let enough = before + TRANSACTIONS / (KILLS * 10);
            eventually(
                &format!("the stream grows before kill {kill}"),
                PATIENCE,
                async || stream_length(&data, &task).await.unwrap() >= enough,
            )
            .await;
            platform.kill("capture").await.unwrap();
            platform.restart("capture").await.unwrap();
        }
        killed.cancel();
    };
    let (count, ()) = tokio::join!(write(sql, &killed), kills);

    eventually("every row is in the stream", PATIENCE, async || {
        stream_length(&data, &task).await.unwrap() >= count
    })
    .await;
    // Schemas count too: once more, until nothing new comes.
    let mut length = 0;
    loop {
        let now = stream_length(&data, &task).await.unwrap();
        if now == length {
            break;
        }
        length = now;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let stored = read_stream(&data, &task).await.unwrap();
    let numbers: Vec<u64> = rows_in_order(&stored)
        .iter()
        .map(|row| row.after.as_ref().unwrap()["n"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers.len() as u64, count);
    assert!(numbers.into_iter().eq(0..count));
}
