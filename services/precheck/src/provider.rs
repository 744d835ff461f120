//! Who runs a source, and what is to be done there in the place of `ALTER SYSTEM` and `pg_hba.conf`.
//!
//! Sources of the facts: Amazon RDS User Guide, "Performing logical replication for Amazon RDS for PostgreSQL";
//! Amazon Aurora User Guide, "Setting up logical replication"; Cloud SQL, "Set up logical replication and
//! decoding"; Azure Database for PostgreSQL, "Logical replication and logical decoding"; Neon, "Logical
//! replication in Neon"; Supabase, "Customizing Postgres configs"; Patroni, "Dynamic configuration settings" and
//! `slots.py`; `CloudNativePG`, "PostgreSQL configuration" and "Declarative role management".

use rowcast_proto::message::{CheckOutcome, CheckResult};
use rowcast_proto::rest::SourceKind;

mod repair;

/// Who runs a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Provider(pub(crate) SourceKind);

impl Provider {
    /// The provider with this name in the question; one that this version does not know is none.
    pub(crate) fn of(kind: &str) -> Self {
        Self(SourceKind::from_name(kind).unwrap_or_default())
    }

    /// Whether it is anybody else than its users.
    pub(crate) fn is_known(self) -> bool {
        !self.0.is_postgresql()
    }

    /// For people.
    pub(crate) const fn title(self) -> &'static str {
        match self.0 {
            SourceKind::Postgresql => "PostgreSQL",
            SourceKind::Rds => "Amazon RDS",
            SourceKind::Aurora => "Amazon Aurora",
            SourceKind::CloudSql => "Cloud SQL",
            SourceKind::Azure => "Azure Database for PostgreSQL",
            SourceKind::Supabase => "Supabase",
            SourceKind::Neon => "Neon",
            SourceKind::CloudNativePg => "CloudNativePG",
            SourceKind::Patroni => "Patroni",
        }
    }

    /// Says in the repair of a result that is not good what is to be done at the provider, in the place of what nobody
    /// can do there.
    pub(crate) fn advise(self, result: &mut CheckResult) {
        let is_good = match result.outcome() {
            CheckOutcome::Fail | CheckOutcome::Alert => false,
            CheckOutcome::Pass | CheckOutcome::Skipped | CheckOutcome::Unspecified => true,
        };
        if is_good || !self.is_known() {
            return;
        }
        result.repair = repair::at(self, &result.repair);
        if !NETWORK.contains(&result.code.as_str()) {
            return;
        }
        if let Some(hint) = self.network() {
            if !result.repair.is_empty() {
                result.repair.push('\n');
            }
            result
                .repair
                .push_str(&format!("On {}: {hint}", self.title()));
        }
    }

    const fn network(self) -> Option<&'static str> {
        Some(match self.0 {
            SourceKind::Postgresql => return None,
            SourceKind::Rds | SourceKind::Aurora => {
                "let Rowcast's address into the security group, on the database's port; use the writer's endpoint."
            }
            SourceKind::CloudSql => {
                "add Rowcast's address to the authorized networks, or use a private address."
            }
            SourceKind::Azure => {
                "add a firewall rule for Rowcast's address, or use a private endpoint."
            }
            SourceKind::Supabase => {
                "the direct host is reached by IPv6 only, unless the IPv4 add-on is bought; look at the network restrictions too."
            }
            SourceKind::Neon => {
                "use the host without -pooler in its name, and look at the IP allow list."
            }
            SourceKind::CloudNativePg => {
                "use the service <cluster>-rw, from outside of Kubernetes by a load balancer."
            }
            SourceKind::Patroni => {
                "use an address that leads to the leader, as HAProxy's or a virtual one."
            }
        })
    }
}

/// The checks and steps that are about the way to the server.
const NETWORK: [&str; 4] = ["connectivity", "name", "tcp", "primary"];

#[cfg(test)]
mod tests {
    use super::*;

    fn advised(kind: &str, code: &str, outcome: CheckOutcome) -> String {
        let mut result = CheckResult {
            code: code.to_owned(),
            outcome: outcome.into(),
            repair: "ALTER SYSTEM SET wal_level = 'logical';".to_owned(),
            ..CheckResult::default()
        };
        Provider::of(kind).advise(&mut result);
        result.repair
    }

    #[test]
    fn what_is_not_good_says_what_to_do_at_the_provider() {
        let repair = advised("rds", "wal_level", CheckOutcome::Fail);
        assert!(
            repair.starts_with("On Amazon RDS: set rds.logical_replication = 1"),
            "{repair}"
        );
        let repair = advised("supabase", "tcp", CheckOutcome::Fail);
        assert!(repair.contains("IPv6"), "{repair}");
        for (kind, outcome) in [
            ("", CheckOutcome::Fail),
            ("of_the_next_version", CheckOutcome::Fail),
            ("rds", CheckOutcome::Pass),
        ] {
            let repair = advised(kind, "wal_level", outcome);
            assert_eq!(repair, "ALTER SYSTEM SET wal_level = 'logical';", "{kind}");
        }
    }
}
