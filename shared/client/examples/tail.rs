//! Prints a group's changes.
//!
//! ```sh
//! cargo run -p rowcast-client --example tail -- connection.json password.txt
//! ```
//!
//! The first file is the answer of `GET /tasks/{id}/groups/{gid}/connection`.

use std::io::Write as _;

use anyhow::Context as _;
use futures::StreamExt as _;
use rowcast_client::{Error, GroupCredentials, Secret, Subscription};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let connection = arguments.next().context("first the connection's file")?;
    let password = arguments.next().context("then the password's file")?;
    let connection = serde_json::from_slice(&std::fs::read(connection)?)?;
    let password = Secret::new(std::fs::read_to_string(password)?.trim_end());

    let mut changes = Subscription::connect(GroupCredentials::new(connection, password)).await?;
    while let Some(delivery) = changes.next().await {
        let delivery = match delivery {
            Ok(delivery) => delivery,
            // Goes on: the next acknowledgement covers it.
            Err(Error::Malformed(bad)) => {
                writeln!(std::io::stderr(), "{bad}: {:?}", bad.payload)?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let change = &delivery.change;
        writeln!(
            std::io::stdout(),
            "{} {:?} {}.{} {}",
            delivery.position,
            change.op,
            change.schema.as_deref().unwrap_or("-"),
            change.table.as_deref().unwrap_or("-"),
            serde_json::to_string(&change.after)?,
        )?;
        delivery.ack().await?;
    }
    Ok(())
}
