//! Does the server let the account stream?

use rowcast_pg::{ConnectOptions, Error, Session};

use super::Taken;
use crate::checks::replication_login::{self, Refusal};

pub(super) use crate::checks::replication_login::RULE;

pub(super) async fn take(options: &ConnectOptions, session: &Session) -> Result<Taken<()>, Error> {
    let found = replication_login::log_in(options, session).await?;
    Ok(match found.map_err(Refusal::finding) {
        Ok(finding) => Taken::on((), finding),
        Err(finding) => Taken::end(finding),
    })
}
