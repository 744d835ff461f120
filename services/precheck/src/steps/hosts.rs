//! Of several hosts, which one takes writes? Asked only where several are named.

use std::time::Duration;

use rowcast_pg::hosts::{self, Role};
use rowcast_pg::{ConnectOptions, Error};

use super::Taken;
use crate::checks::Rule;
use crate::diagnosis::Diagnosis;
use crate::finding::Finding;

pub(super) const RULE: Rule = Rule {
    code: "hosts",
    title: "One of the hosts takes writes",
    ran: "Log in to each host and ask SELECT pg_is_in_recovery()",
};

/// One silent host must not take the time of the whole step.
const HOST_WITHIN: Duration = Duration::from_secs(4);

/// The next steps go to the first host that takes writes.
pub(super) async fn take(options: &ConnectOptions) -> Result<Taken<ConnectOptions>, Error> {
    let in_time = ConnectOptions {
        connect_timeout: HOST_WITHIN,
        ..options.clone()
    };
    let roles = hosts::roles(&in_time).await;
    let words = roles
        .iter()
        .map(|(host, role)| hosts::in_words(host, Some(role)));
    let saw = words.collect::<Vec<_>>().join("; ");
    let primaries: Vec<&str> = roles
        .iter()
        .filter(|(_, role)| matches!(role, Role::Primary))
        .map(|(host, _)| host.as_str())
        .collect();
    let Some(&first) = primaries.first() else {
        let known = roles.into_iter().map(|(host, role)| (host, Some(role)));
        let host = hosts::choose(known.collect())?;
        return Ok(Taken::on(hosts::at(options, &host), Finding::pass(saw)));
    };
    let chosen = hosts::at(options, first);
    let finding = if primaries.len() > 1 {
        let repair = format!(
            "Name the hosts of one cluster. If these are one, stop the one that is not to be the primary: \
             Rowcast takes {first}, which is named first."
        );
        Finding::alert(saw, "Several of the hosts take writes.", repair)
    } else if let Some((host, Role::Unknown(error))) = roles
        .iter()
        .find(|(_, role)| matches!(role, Role::Unknown(_)))
    {
        let Diagnosis { cause, repair, .. } = Diagnosis::of(error, &hosts::at(options, host));
        let cause = format!("After a failover to {host} the task could not go on. {cause}");
        Finding::alert(saw, cause, repair)
    } else {
        Finding::pass(saw)
    };
    Ok(Taken::on(chosen, finding))
}
