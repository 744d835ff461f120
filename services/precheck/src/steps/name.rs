//! Does the host's name lead to an address?

use rowcast_pg::transport::{self, Addresses};
use rowcast_pg::{ConnectOptions, Error};

use super::Taken;
use crate::checks::Rule;
use crate::finding::{Finding, name_some};

pub(super) const RULE: Rule = Rule {
    code: "name",
    title: "The host's name resolves",
    ran: "Look the host up in DNS",
};

pub(super) async fn take(options: &ConnectOptions) -> Result<Taken<Addresses>, Error> {
    let addresses = transport::resolve(options).await?;
    let saw = match &addresses {
        Addresses::Socket(path) => format!("{path}, a socket of this machine"),
        Addresses::Internet(found) => {
            let found = found.iter().map(|address| address.ip().to_string());
            format!("{} is {}", options.host, name_some(found))
        }
    };
    Ok(Taken::on(addresses, Finding::pass(saw)))
}
