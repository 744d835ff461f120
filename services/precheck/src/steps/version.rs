//! Which PostgreSQL is it?

use rowcast_pg::{Error, Session, settings};
use rowcast_proto::message::CheckOutcome;

use super::Taken;
use crate::checks::{Rule, judge_version};

pub(super) const RULE: Rule = Rule {
    code: "version",
    title: "The server is PostgreSQL 9.4 or newer",
    ran: "SHOW server_version; SHOW server_version_num; SHOW server_encoding",
};

pub(super) async fn take(session: &Session) -> Result<Taken<String>, Error> {
    let row = session
        .query_one("SELECT pg_catalog.current_setting('server_version')", &[])
        .await?;
    // Distributions put their own name behind it.
    let full: String = row.try_get(0)?;
    let version = full.split(' ').next().unwrap_or_default().to_owned();
    let settings = settings::read(session).await?;
    let mut finding = judge_version(settings.server_version, &settings.server_encoding, false);
    if finding.outcome == CheckOutcome::Pass {
        finding.saw = format!("PostgreSQL {full}");
    }
    Ok(Taken::on(version, finding))
}
