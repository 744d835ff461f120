//! Who runs a source, and what is to be done there in the place of `ALTER SYSTEM` and `pg_hba.conf`.
//!
//! Sources of the facts: Amazon RDS User Guide, "Performing logical replication for Amazon RDS for PostgreSQL";
//! Amazon Aurora User Guide, "Setting up logical replication"; Cloud SQL, "Set up logical replication and
//! decoding"; Azure Database for PostgreSQL, "Logical replication and logical decoding"; Neon, "Logical
//! replication in Neon"; Patroni, "Dynamic configuration settings" and `slots.py`; `CloudNativePG`,
//! "PostgreSQL configuration" and "Declarative role management".

use rowcast_proto::message::{CheckOutcome, CheckResult};
use rowcast_proto::rest::SourceKind;

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

    /// Adds to a result that is not good what is to be done at the provider.
    pub(crate) fn advise(self, result: &mut CheckResult) {
        let is_good = match result.outcome() {
            CheckOutcome::Fail | CheckOutcome::Alert => false,
            CheckOutcome::Pass | CheckOutcome::Skipped | CheckOutcome::Unspecified => true,
        };
        if is_good {
            return;
        }
        if let Some(hint) = Topic::of(&result.code).and_then(|topic| self.hint(topic)) {
            let hint = format!("On {}: {hint}", self.title());
            if !result.repair.is_empty() {
                result.repair.push('\n');
            }
            result.repair.push_str(&hint);
        }
    }

    const fn hint(self, topic: Topic) -> Option<&'static str> {
        match topic {
            Topic::WalLevel => self.wal_level(),
            Topic::Setting => self.setting(),
            Topic::Replication => self.replication(),
            Topic::Network => self.network(),
        }
    }

    const fn wal_level(self) -> Option<&'static str> {
        Some(match self.0 {
            SourceKind::Postgresql => return None,
            SourceKind::Rds => {
                "set rds.logical_replication = 1 in the instance's parameter group, then reboot the instance."
            }
            SourceKind::Aurora => {
                "set rds.logical_replication = 1 in the DB cluster parameter group, then reboot the writer."
            }
            SourceKind::CloudSql => {
                "set the flag cloudsql.logical_decoding = on; the instance restarts."
            }
            SourceKind::Azure => {
                "set the server parameter wal_level = LOGICAL, save, and restart the server."
            }
            SourceKind::Supabase => "wal_level is logical; ask the support where it is not.",
            SourceKind::Neon => {
                "enable logical replication in the settings of the project; it cannot be disabled again."
            }
            SourceKind::CloudNativePg => {
                "wal_level is logical unless spec.postgresql.parameters says otherwise: remove it there."
            }
            SourceKind::Patroni => {
                "patronictl edit-config, set postgresql.parameters.wal_level: logical, then patronictl restart."
            }
        })
    }

    const fn setting(self) -> Option<&'static str> {
        Some(match self.0 {
            SourceKind::Postgresql | SourceKind::Neon => return None,
            SourceKind::Rds => {
                "set the parameter in the instance's parameter group; static ones need a reboot."
            }
            SourceKind::Aurora => {
                "set the parameter in the DB cluster parameter group; static ones need a reboot."
            }
            SourceKind::CloudSql => "set it as a database flag of the instance.",
            SourceKind::Azure => "set it among the server parameters; static ones need a restart.",
            SourceKind::Supabase => {
                "set it with `supabase postgres-config update`, or ask the support."
            }
            SourceKind::CloudNativePg => "set it in spec.postgresql.parameters of the Cluster.",
            SourceKind::Patroni => {
                "set it by patronictl edit-config in postgresql.parameters; those that need a restart, by patronictl restart."
            }
        })
    }

    const fn replication(self) -> Option<&'static str> {
        Some(match self.0 {
            SourceKind::Postgresql => return None,
            SourceKind::Rds | SourceKind::Aurora => {
                "no role can have REPLICATION; GRANT rds_replication TO the account instead."
            }
            SourceKind::CloudSql => {
                "ALTER USER … WITH REPLICATION, as a user with cloudsqlsuperuser."
            }
            SourceKind::Azure => "ALTER ROLE … WITH REPLICATION, as the server's admin.",
            SourceKind::Supabase => {
                "as postgres: ALTER ROLE … WITH REPLICATION; and connect directly to the database, not by the pooler."
            }
            SourceKind::Neon => {
                "roles made in its console have REPLICATION; and use the host without -pooler in its name."
            }
            SourceKind::CloudNativePg => {
                "declare the role in spec.managed.roles with replication: true."
            }
            SourceKind::Patroni => {
                "ALTER ROLE … WITH REPLICATION; and the line of pg_hba.conf belongs into postgresql.pg_hba of patronictl edit-config."
            }
        })
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

/// What a check is about, as far as providers differ.
#[derive(Debug, Clone, Copy)]
enum Topic {
    WalLevel,
    Setting,
    Replication,
    Network,
}

impl Topic {
    fn of(code: &str) -> Option<Self> {
        match code {
            "wal_level" => Some(Self::WalLevel),
            "replication_slots" | "wal_senders" | "wal_keep" => Some(Self::Setting),
            "replication_login" | "privileges" => Some(Self::Replication),
            "connectivity" | "name" | "tcp" | "primary" => Some(Self::Network),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advised(kind: &str, code: &str, outcome: CheckOutcome) -> String {
        let mut result = CheckResult {
            code: code.to_owned(),
            outcome: outcome.into(),
            repair: "ALTER SYSTEM …".to_owned(),
            ..CheckResult::default()
        };
        Provider::of(kind).advise(&mut result);
        result.repair
    }

    #[test]
    fn what_is_not_good_says_what_to_do_at_the_provider() {
        let repair = advised("rds", "wal_level", CheckOutcome::Fail);
        assert!(
            repair.starts_with("ALTER SYSTEM …\nOn Amazon RDS: set rds."),
            "{repair}"
        );
        let repair = advised("aurora", "privileges", CheckOutcome::Alert);
        assert!(repair.contains("GRANT rds_replication"), "{repair}");
        for (kind, code, outcome) in [
            ("", "wal_level", CheckOutcome::Fail),
            ("of_the_next_version", "wal_level", CheckOutcome::Fail),
            ("rds", "wal_level", CheckOutcome::Pass),
            ("rds", "objects", CheckOutcome::Fail),
        ] {
            assert_eq!(
                advised(kind, code, outcome),
                "ALTER SYSTEM …",
                "{kind} {code}"
            );
        }
    }
}
