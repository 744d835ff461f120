//! Who runs a source, and what is to be done there in the place of `ALTER SYSTEM` and `pg_hba.conf`.
//!
//! Sources of the facts: Amazon RDS User Guide, "Performing logical replication for Amazon RDS for PostgreSQL";
//! Amazon Aurora User Guide, "Setting up logical replication"; Cloud SQL, "Set up logical replication and
//! decoding"; Azure Database for PostgreSQL, "Logical replication and logical decoding"; Neon, "Logical
//! replication in Neon"; Patroni, "Dynamic configuration settings" and `slots.py`; `CloudNativePG`,
//! "PostgreSQL configuration" and "Declarative role management".

use rowcast_proto::message::{CheckOutcome, CheckResult};

/// Who runs a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provider {
    /// Its users, or somebody that this version does not know.
    Unknown,
    Rds,
    Aurora,
    CloudSql,
    Azure,
    Supabase,
    Neon,
    CloudNativePg,
    Patroni,
}

impl Provider {
    /// The provider with this name in the question.
    pub(crate) fn of(kind: &str) -> Self {
        match kind {
            "rds" => Self::Rds,
            "aurora" => Self::Aurora,
            "cloud_sql" => Self::CloudSql,
            "azure" => Self::Azure,
            "supabase" => Self::Supabase,
            "neon" => Self::Neon,
            "cloud_native_pg" => Self::CloudNativePg,
            "patroni" => Self::Patroni,
            _ => Self::Unknown,
        }
    }

    /// For people.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Unknown => "PostgreSQL",
            Self::Rds => "Amazon RDS",
            Self::Aurora => "Amazon Aurora",
            Self::CloudSql => "Cloud SQL",
            Self::Azure => "Azure Database for PostgreSQL",
            Self::Supabase => "Supabase",
            Self::Neon => "Neon",
            Self::CloudNativePg => "CloudNativePG",
            Self::Patroni => "Patroni",
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
        Some(match self {
            Self::Unknown => return None,
            Self::Rds => {
                "set rds.logical_replication = 1 in the instance's parameter group, then reboot the instance."
            }
            Self::Aurora => {
                "set rds.logical_replication = 1 in the DB cluster parameter group, then reboot the writer."
            }
            Self::CloudSql => "set the flag cloudsql.logical_decoding = on; the instance restarts.",
            Self::Azure => {
                "set the server parameter wal_level = LOGICAL, save, and restart the server."
            }
            Self::Supabase => "wal_level is logical; ask the support where it is not.",
            Self::Neon => {
                "enable logical replication in the settings of the project; it cannot be disabled again."
            }
            Self::CloudNativePg => {
                "wal_level is logical unless spec.postgresql.parameters says otherwise: remove it there."
            }
            Self::Patroni => {
                "patronictl edit-config, set postgresql.parameters.wal_level: logical, then patronictl restart."
            }
        })
    }

    const fn setting(self) -> Option<&'static str> {
        Some(match self {
            Self::Unknown | Self::Neon => return None,
            Self::Rds => {
                "set the parameter in the instance's parameter group; static ones need a reboot."
            }
            Self::Aurora => {
                "set the parameter in the DB cluster parameter group; static ones need a reboot."
            }
            Self::CloudSql => "set it as a database flag of the instance.",
            Self::Azure => "set it among the server parameters; static ones need a restart.",
            Self::Supabase => "set it with `supabase postgres-config update`, or ask the support.",
            Self::CloudNativePg => "set it in spec.postgresql.parameters of the Cluster.",
            Self::Patroni => {
                "set it by patronictl edit-config in postgresql.parameters; those that need a restart, by patronictl restart."
            }
        })
    }

    const fn replication(self) -> Option<&'static str> {
        Some(match self {
            Self::Unknown => return None,
            Self::Rds | Self::Aurora => {
                "no role can have REPLICATION; GRANT rds_replication TO the account instead."
            }
            Self::CloudSql => "ALTER USER … WITH REPLICATION, as a user with cloudsqlsuperuser.",
            Self::Azure => "ALTER ROLE … WITH REPLICATION, as the server's admin.",
            Self::Supabase => {
                "as postgres: ALTER ROLE … WITH REPLICATION; and connect directly to the database, not by the pooler."
            }
            Self::Neon => {
                "roles made in its console have REPLICATION; and use the host without -pooler in its name."
            }
            Self::CloudNativePg => "declare the role in spec.managed.roles with replication: true.",
            Self::Patroni => {
                "ALTER ROLE … WITH REPLICATION; and the line of pg_hba.conf belongs into postgresql.pg_hba of patronictl edit-config."
            }
        })
    }

    const fn network(self) -> Option<&'static str> {
        Some(match self {
            Self::Unknown => return None,
            Self::Rds | Self::Aurora => {
                "let Rowcast's address into the security group, on the database's port; use the writer's endpoint."
            }
            Self::CloudSql => {
                "add Rowcast's address to the authorized networks, or use a private address."
            }
            Self::Azure => "add a firewall rule for Rowcast's address, or use a private endpoint.",
            Self::Supabase => {
                "the direct host is reached by IPv6 only, unless the IPv4 add-on is bought; look at the network restrictions too."
            }
            Self::Neon => {
                "use the host without -pooler in its name, and look at the IP allow list."
            }
            Self::CloudNativePg => {
                "use the service <cluster>-rw, from outside of Kubernetes by a load balancer."
            }
            Self::Patroni => {
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
