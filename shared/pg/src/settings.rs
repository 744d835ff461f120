//! What the server is set up for, and what our role may do on it.

use std::time::Duration;

use tokio_postgres::{Client, Row};

use crate::Error;
use crate::replication::Encoding;

/// The roles by which a managed service grants replication instead of the REPLICATION attribute
/// (Amazon RDS and Aurora).
const MANAGED_REPLICATION_ROLES: &[&str] = &["rds_replication"];

/// The settings that logical replication depends on (PostgreSQL docs, "Replication").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `server_version_num`: 180001 is 18.1, 90624 is 9.6.24.
    pub server_version: u32,
    /// Encoding of the database, as `UTF8`.
    pub server_encoding: String,
    /// `minimal`, `replica` (`hot_standby` before 9.6) or `logical`.
    pub wal_level: String,
    /// How many slots there can be.
    pub max_replication_slots: u32,
    /// How many replication connections there can be.
    pub max_wal_senders: u32,
    /// After this much silence of ours the server closes the connection; `None` is never.
    pub wal_sender_timeout: Option<Duration>,
    /// How much WAL a slot may hold back, in bytes, before the server gives up on it; `None` is
    /// without limit, as always before PostgreSQL 13.
    pub max_slot_wal_keep_bytes: Option<u64>,
    /// After this much idleness the server gives up on a slot; `None` is never, as always before
    /// PostgreSQL 18.
    pub idle_replication_slot_timeout: Option<Duration>,
}

/// What our role may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Privileges {
    /// The role's name.
    pub role: String,
    /// The role is a superuser.
    pub superuser: bool,
    /// The role has the REPLICATION attribute.
    pub replication: bool,
    /// The role of a managed service that grants replication to its members, ours among them.
    pub managed_role: Option<String>,
}

impl Settings {
    /// In which encoding the texts of the database can be read without an error.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        if self.server_encoding == "SQL_ASCII" {
            Encoding::AsStored
        } else {
            Encoding::Utf8
        }
    }
}

impl Privileges {
    /// Whether the role can open a replication connection and create slots.
    #[must_use]
    pub fn can_replicate(&self) -> bool {
        self.superuser || self.replication || self.managed_role.is_some()
    }
}

/// Reads the settings in one query.
pub async fn read(client: &Client) -> Result<Settings, Error> {
    let rows = client
        .query(
            "SELECT name, setting, unit
             FROM pg_catalog.pg_settings
             WHERE name = ANY ($1)",
            &[&[
                "server_version_num",
                "server_encoding",
                "wal_level",
                "max_replication_slots",
                "max_wal_senders",
                "wal_sender_timeout",
                "max_slot_wal_keep_size",
                "idle_replication_slot_timeout",
            ]
            .as_slice()],
        )
        .await?;
    let settings: Vec<Setting> = rows
        .iter()
        .map(Setting::from_row)
        .collect::<Result<_, _>>()?;
    let find = |name: &str| settings.iter().find(|setting| setting.name == name);
    let required = |name: &str| {
        find(name).ok_or_else(|| Error::Protocol(format!("the server has no setting {name}")))
    };
    Ok(Settings {
        server_version: required("server_version_num")?.count()?,
        server_encoding: required("server_encoding")?.value.clone(),
        wal_level: required("wal_level")?.value.clone(),
        max_replication_slots: required("max_replication_slots")?.count()?,
        max_wal_senders: required("max_wal_senders")?.count()?,
        wal_sender_timeout: required("wal_sender_timeout")?.duration()?,
        max_slot_wal_keep_bytes: find("max_slot_wal_keep_size")
            .map(Setting::bytes)
            .transpose()?
            .flatten(),
        idle_replication_slot_timeout: find("idle_replication_slot_timeout")
            .map(Setting::duration)
            .transpose()?
            .flatten(),
    })
}

/// Whether the server is a standby.
pub async fn in_recovery(client: &Client) -> Result<bool, Error> {
    let row = client
        .query_one("SELECT pg_catalog.pg_is_in_recovery()", &[])
        .await?;
    Ok(row.try_get(0)?)
}

/// Reads what the role we are logged in as may do.
pub async fn privileges(client: &Client) -> Result<Privileges, Error> {
    let row = client
        .query_one(
            "SELECT r.rolname::text,
                    r.rolsuper,
                    r.rolreplication,
                    (SELECT g.rolname::text
                     FROM pg_catalog.pg_roles AS g
                     WHERE g.rolname = ANY ($1)
                       AND pg_catalog.pg_has_role(r.oid, g.oid, 'MEMBER')
                     LIMIT 1)
             FROM pg_catalog.pg_roles AS r
             WHERE r.rolname = CURRENT_USER",
            &[&MANAGED_REPLICATION_ROLES],
        )
        .await?;
    Ok(Privileges {
        role: row.try_get(0)?,
        superuser: row.try_get(1)?,
        replication: row.try_get(2)?,
        managed_role: row.try_get(3)?,
    })
}

/// The role of a managed service that would grant replication to ours, where the server has one.
pub async fn managed_replication_role(client: &Client) -> Result<Option<String>, Error> {
    let row = client
        .query_opt(
            "SELECT g.rolname::text
             FROM pg_catalog.pg_roles AS g
             WHERE g.rolname = ANY ($1)
             LIMIT 1",
            &[&MANAGED_REPLICATION_ROLES],
        )
        .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// A row of `pg_settings`: a number counts in the unit beside it.
struct Setting {
    name: String,
    value: String,
    unit: Option<String>,
}

impl Setting {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            name: row.try_get(0)?,
            value: row.try_get(1)?,
            unit: row.try_get(2)?,
        })
    }

    fn count(&self) -> Result<u32, Error> {
        self.value.parse().map_err(|_error| self.unreadable())
    }

    /// `None` for 0, which switches a timeout off.
    fn duration(&self) -> Result<Option<Duration>, Error> {
        let number: u64 = self.value.parse().map_err(|_error| self.unreadable())?;
        let duration = match self.unit.as_deref() {
            Some("ms") => Duration::from_millis(number),
            Some("s") => Duration::from_secs(number),
            Some("min") => Duration::from_secs(number.saturating_mul(60)),
            _ => return Err(self.unreadable()),
        };
        Ok((number > 0).then_some(duration))
    }

    /// `None` for -1, which is without limit.
    fn bytes(&self) -> Result<Option<u64>, Error> {
        let number: i64 = self.value.parse().map_err(|_error| self.unreadable())?;
        let unit: u64 = match self.unit.as_deref() {
            Some("B") => 1,
            Some("kB") => 1 << 10,
            Some("MB") => 1 << 20,
            _ => return Err(self.unreadable()),
        };
        Ok(u64::try_from(number)
            .ok()
            .map(|number| number.saturating_mul(unit)))
    }

    fn unreadable(&self) -> Error {
        let unit = self.unit.as_deref().unwrap_or("no unit");
        Error::Protocol(format!(
            "setting {} has the value {:?} ({unit})",
            self.name, self.value
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(value: &str, unit: &str) -> Setting {
        Setting {
            name: "some_setting".to_owned(),
            value: value.to_owned(),
            unit: Some(unit.to_owned()),
        }
    }

    #[test]
    fn values_count_in_their_unit() {
        let minute = Some(Duration::from_secs(60));
        assert_eq!(setting("60000", "ms").duration().unwrap(), minute);
        assert_eq!(setting("60", "s").duration().unwrap(), minute);
        assert_eq!(setting("1", "min").duration().unwrap(), minute);
        assert_eq!(setting("0", "ms").duration().unwrap(), None);
        assert_eq!(setting("3", "MB").bytes().unwrap(), Some(3 << 20));
        assert_eq!(setting("-1", "MB").bytes().unwrap(), None);
        assert!(setting("1", "fortnight").duration().is_err());
    }
}
