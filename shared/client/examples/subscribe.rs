//! Prints each change that a push group is sent, with async-nats alone and nothing of this crate.
//!
//! ```sh
//! cargo run -p rowcast-client --example subscribe -- connection.json password.txt 1/2
//! ```
//!
//! The last argument may be left out: it is the first of two processes that share a keyed group.

use std::io::Write as _;

use anyhow::{Context as _, bail, ensure};
use async_nats::ConnectOptions;
use futures::StreamExt as _;
use futures::stream::SelectAll;
use serde_json::Value;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let connection = arguments.next().context("first the connection's file")?;
    let password = arguments.next().context("then the password's file")?;
    let share = arguments.next().unwrap_or_else(|| "1/1".to_owned());
    let (first, of) = share.split_once('/').context("a share is as 1/2")?;
    let (first, of): (usize, usize) = (first.parse()?, of.parse()?);
    let group: Value = serde_json::from_slice(&std::fs::read(connection)?)?;
    let text = |name: &str| group[name].as_str().map(str::to_owned);

    let login = text("login").context("no login")?;
    let password = std::fs::read_to_string(password)?.trim_end().to_owned();
    let urls = group["urls"].as_array().context("no urls")?;
    let urls: Vec<&str> = urls.iter().filter_map(Value::as_str).collect();
    // A keyed group is sent to a subject for each partition, any other one to its own.
    let partitions: Vec<&Value> = match group["consumers"].as_array() {
        Some(partitions) => partitions.iter().collect(),
        None => vec![&group],
    };
    let most = of.min(partitions.len());
    ensure!(
        (1..=most).contains(&first),
        "the share {share} has nothing to read: its first number is one of 1 to {most}"
    );
    // Once connected it connects again, however long the broker is away, and where the login is refused meanwhile.
    let client = ConnectOptions::with_user_and_password(login, password)
        .connect(urls)
        .await?;
    let mut changes = SelectAll::new();
    for partition in partitions.into_iter().skip(first - 1).step_by(of) {
        let subject = partition["deliver_subject"].as_str();
        let subject = subject.context("clients of this group pull")?.to_owned();
        changes.push(match text("deliver_group") {
            Some(queue) => client.queue_subscribe(subject, queue).await?,
            None => client.subscribe(subject).await?,
        });
    }
    while let Some(message) = changes.next().await {
        writeln!(std::io::stdout(), "{}", str::from_utf8(&message.payload)?)?;
        let ack = message.reply.context("a message that nobody waits for")?;
        client.publish(ack, "+ACK".into()).await?;
    }
    bail!("the subscription has ended")
}
