//! Does something listen there?

use rowcast_pg::transport::{self, Addresses, Dialled};
use rowcast_pg::{ConnectOptions, Error};

use super::Taken;
use crate::checks::Rule;
use crate::finding::Finding;

pub(super) const RULE: Rule = Rule {
    code: "tcp",
    title: "The port takes connections",
    ran: "Connect to host and port",
};

pub(super) async fn take(
    options: &ConnectOptions,
    addresses: Addresses,
) -> Result<Taken<Dialled>, Error> {
    let dialled = transport::dial(options, &addresses).await?;
    let saw = match (dialled.peer(), dialled.local()) {
        (Some(peer), Some(local)) => format!("connected to {peer} from {}", local.ip()),
        _ => "connected to the socket".to_owned(),
    };
    Ok(Taken::on(dialled, Finding::pass(saw)))
}
