//! Reads a slot to a given end and drops what it encodes: capture without a broker, for `./dev bench`.
//!
//! `PGPASSWORD=… capture-decode HOST PORT DATABASE SLOT PUBLICATION END`

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use rowcast_domain::Secret;
use rowcast_pg::{ConnectOptions, Networks, SslMode};

const USAGE: &str = "needs HOST PORT DATABASE SLOT PUBLICATION END, and PGPASSWORD";

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(messages) => {
            writeln!(std::io::stdout(), "{messages} messages").unwrap_or_default();
            ExitCode::SUCCESS
        }
        Err(error) => {
            writeln!(std::io::stderr(), "capture-decode: {error}").unwrap_or_default();
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a tool for measurements has no configuration of its own; PGPASSWORD is libpq's"
)]
async fn run() -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, port, database, slot, publication, end] = arguments.as_slice() else {
        return Err(USAGE.into());
    };
    let options = ConnectOptions {
        host: host.clone(),
        port: port.parse()?,
        database: database.clone(),
        user: "postgres".to_owned(),
        password: Secret::new(std::env::var("PGPASSWORD").map_err(|_missing| USAGE)?),
        ssl_mode: SslMode::Disable,
        ssl_root_cert: None,
        client_certificate: None,
        networks: Networks::default(),
        application_name: "capture-decode".to_owned(),
        connect_timeout: Duration::from_secs(15),
    };
    capture::decode_alone::run(&options, slot, publication, end.parse()?).await
}
