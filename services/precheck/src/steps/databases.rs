//! Which databases may the account connect to?

use rowcast_pg::{Error, Session, catalog};

use super::Taken;
use crate::checks::Rule;
use crate::finding::{Finding, name_some};

/// More would not fit into an answer on the bus where their names are long.
const DATABASES_MAX: usize = 1000;

pub(super) const RULE: Rule = Rule {
    code: "databases",
    title: "Databases can be listed",
    ran: "SELECT datname FROM pg_database WHERE has_database_privilege(oid, 'CONNECT')",
};

pub(super) async fn take(session: &Session) -> Result<Taken<Vec<String>>, Error> {
    let mut databases = catalog::databases(session).await?;
    let count = databases.len();
    let saw = format!("{count}: {}", name_some(databases.iter().cloned()));
    databases.truncate(DATABASES_MAX);
    Ok(Taken::on(databases, Finding::pass(saw)))
}
