//! Does the server let the account in?

use rowcast_pg::transport::Transport;
use rowcast_pg::{ConnectOptions, Error, Session, catalog, connect, log_in};

use super::Taken;
use crate::checks::Rule;
use crate::diagnosis::Diagnosis;
use crate::finding::{Finding, name_some};

/// SQLSTATE of a database that does not exist.
const DATABASE_MISSING: &str = "3D000";

/// The database that a server has unless somebody has dropped it.
const FIRST_DATABASE: &str = "postgres";

pub(super) const RULE: Rule = Rule {
    code: "login",
    title: "The account can log in to the database",
    ran: "Log in for SQL",
};

pub(super) async fn take(
    options: &ConnectOptions,
    transport: Transport,
) -> Result<Taken<Session>, Error> {
    match log_in(options, transport).await {
        Ok(session) => {
            let saw = format!("logged in to {} as {}", options.database, options.user);
            Ok(Taken::on(session, Finding::pass(saw)))
        }
        Err(error) => {
            let mut diagnosis = Diagnosis::by_trying(&error, options).await;
            if error.sqlstate() == Some(DATABASE_MISSING)
                && let Ok(others) = others(options).await
            {
                let others = name_some(others);
                diagnosis.repair = format!("There are: {others}. {}", diagnosis.repair);
            }
            Ok(Taken::end(diagnosis.finding(&error)))
        }
    }
}

/// The databases that there are instead.
async fn others(options: &ConnectOptions) -> Result<Vec<String>, Error> {
    let first = ConnectOptions {
        database: FIRST_DATABASE.to_owned(),
        ..options.clone()
    };
    catalog::databases(&*connect(&first).await?).await
}
