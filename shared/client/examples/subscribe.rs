//! Prints each change that a push group is sent, with async-nats alone and nothing of this crate.
//!
//! ```sh
//! cargo run -p rowcast-client --example subscribe -- connection.json password.txt
//! ```

use std::io::Write as _;

use anyhow::{Context as _, bail};
use async_nats::ConnectOptions;
use futures::StreamExt as _;
use serde_json::Value;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut files = std::env::args().skip(1).map(std::fs::read_to_string);
    let connection = files.next().context("first the connection's file")??;
    let password = files.next().context("then the password's file")??;
    let group: Value = serde_json::from_str(&connection)?;
    let text = |name: &str| group[name].as_str().map(str::to_owned);

    let login = text("login").context("no login")?;
    let password = password.trim_end().to_owned();
    let url = group["urls"][0].as_str().context("no urls")?;
    let client = ConnectOptions::with_user_and_password(login, password)
        .connect(url)
        .await?;
    let subject = text("deliver_subject").context("clients of this group pull")?;
    let mut changes = match text("deliver_group") {
        Some(queue) => client.queue_subscribe(subject, queue).await?,
        None => client.subscribe(subject).await?,
    };
    while let Some(message) = changes.next().await {
        writeln!(std::io::stdout(), "{}", str::from_utf8(&message.payload)?)?;
        let ack = message.reply.context("a message that nobody waits for")?;
        client.publish(ack, "+ACK".into()).await?;
    }
    bail!("the subscription has ended")
}
