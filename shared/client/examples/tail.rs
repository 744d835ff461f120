//! Prints each change of a group, as JSON on a line.
//!
//! ```sh
//! cargo run -p rowcast-client --example tail -- connection.json password.txt [redriven]
//! ```
//!
//! The first file is the answer of `GET /tasks/{id}/groups/{gid}/connection`. Processes that are started beside it share
//! a keyed or a shared group, and of an ordered one they stand by. With `redriven` come the dead letters instead that
//! are sent once more; members of a shared group get them anyway.

use std::io::Write as _;

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use rowcast_client::{Error, GroupCredentials, Secret, Subscription};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let connection = arguments.next().context("first the connection's file")?;
    let password = arguments.next().context("then the password's file")?;
    let connection = serde_json::from_slice(&std::fs::read(connection)?)?;
    let password = Secret::new(std::fs::read_to_string(password)?.trim_end());
    let credentials = GroupCredentials::new(connection, password);

    let mut changes = match arguments.next().as_deref() {
        None => Subscription::connect(credentials).await?,
        Some("redriven") => Subscription::redriven(credentials).await?,
        Some(other) => bail!("{other:?}: only \"redriven\" may stand there"),
    };
    while let Some(delivery) = changes.next().await {
        let delivery = match delivery {
            Ok(delivery) => delivery,
            // Goes on: the next acknowledgement covers it.
            Err(Error::Malformed(bad)) => {
                writeln!(std::io::stderr(), "{bad}: {:?}", bad.payload)?;
                continue;
            }
            Err(error) if error.is_final() => return Err(error.into()),
            Err(error) => {
                writeln!(std::io::stderr(), "{error}")?;
                continue;
            }
        };
        // Before the acknowledgement: what was printed and not acknowledged comes again.
        let change = serde_json::to_string(&delivery.change)?;
        writeln!(std::io::stdout(), "{change}")?;
        match delivery.ack().await {
            // The connection was lost, or another process goes on with it: it comes again, there or here.
            Err(error) if !error.is_final() => writeln!(std::io::stderr(), "{error}")?,
            acknowledged => acknowledged?,
        }
    }
    Ok(())
}
