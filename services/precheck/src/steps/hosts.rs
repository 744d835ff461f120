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

/// The next steps go to the host that takes writes.
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
    let primaries = roles
        .iter()
        .filter(|(_, role)| matches!(role, Role::Primary(_)))
        .count();
    let unreached = roles.iter().find_map(|(host, role)| match role {
        Role::Unknown(error) => Some((host, Diagnosis::of(error, &hosts::at(options, host)))),
        Role::Primary(_) | Role::Standby => None,
    });
    let unreached = unreached.map(|(host, diagnosis)| (host.clone(), diagnosis));
    let known = roles.into_iter().map(|(host, role)| (host, Some(role)));
    let chosen = hosts::choose(known.collect())?;
    let finding = if primaries > 1 {
        let repair = format!(
            "Name the hosts of one cluster. If these are one, stop the one that is not to be the primary: \
             Rowcast takes {chosen}."
        );
        Finding::alert(saw, "Several of the hosts take writes.", repair)
    } else if let Some((host, Diagnosis { cause, repair, .. })) = unreached {
        let cause = format!("After a failover to {host} the task could not go on. {cause}");
        Finding::alert(saw, cause, repair)
    } else {
        Finding::pass(saw)
    };
    Ok(Taken::on(hosts::at(options, &chosen), finding))
}
