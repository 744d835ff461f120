//! Whether somebody changed a publication since we last looked, even if it was changed back.
//!
//! What happens to a publication between two looks decides which changes were sent, so a table that
//! was taken off it and put on again may lack changes. The catalog shows it: the new membership is
//! a row with an OID of its own, and an `ALTER PUBLICATION … SET` writes a new version of the
//! publication's row. What does not count is that tables come and go under a publication of all
//! tables or of schemas, and that the owner drops a table: its membership goes with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use tokio_postgres::Client;

use crate::publication::SCHEMAS_SINCE;
use crate::{Error, Session};

/// The first version with `sha256`. A server in FIPS mode refuses `md5` where that comes from
/// OpenSSL, which is later.
const SHA256_SINCE: u32 = 110_000;

/// A publication and what was put on it, by the OIDs of the catalog's rows. As text, it can be kept
/// and read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memberships {
    /// OID and `xmin` of the row of `pg_publication`.
    pub publication: (u32, u32),
    /// Table to its row of `pg_publication_rel`.
    pub tables: BTreeMap<u32, u32>,
    /// Schema to its row of `pg_publication_namespace`; since 15.
    pub schemas: BTreeMap<u32, u32>,
}

/// Of the tables and schemas asked for, those that are still there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Existing {
    /// OIDs of tables.
    pub tables: BTreeSet<u32>,
    /// OIDs of schemas.
    pub schemas: BTreeSet<u32>,
}

/// How a publication is not what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Changed {
    /// It was altered, or dropped and created again.
    #[error("the publication was altered, or dropped and created again")]
    Publication,
    /// A table was taken off it, and perhaps put on it again; its OID.
    #[error("the table with OID {0} was dropped from the publication, and perhaps added again")]
    Table(u32),
    /// A schema was taken off it, and perhaps put on it again; its OID.
    #[error("the schema with OID {0} was dropped from the publication, and perhaps added again")]
    Schema(u32),
}

/// A text that is no [`Memberships`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} does not describe the memberships of a publication")]
pub struct ParseMembershipsError(String);

impl Memberships {
    /// Compares with a later look: nobody took anything off the publication in between; what was put
    /// on it takes nothing away. `still_exists` must be
    /// read after `now`.
    ///
    /// # Errors
    /// The first difference that a drop of the table or schema itself does not explain.
    pub fn kept(&self, now: &Self, still_exists: &Existing) -> Result<(), Changed> {
        if self.publication != now.publication {
            return Err(Changed::Publication);
        }
        difference(&self.tables, &now.tables, &still_exists.tables).map_err(Changed::Table)?;
        difference(&self.schemas, &now.schemas, &still_exists.schemas).map_err(Changed::Schema)
    }
}

/// The first object whose membership is not what it was, unless the object is gone.
fn difference(
    then: &BTreeMap<u32, u32>,
    now: &BTreeMap<u32, u32>,
    still_exists: &BTreeSet<u32>,
) -> Result<(), u32> {
    let lost = then.iter().find(|(object, row)| match now.get(object) {
        Some(row_now) => row_now != *row,
        None => still_exists.contains(object),
    });
    lost.map_or(Ok(()), |(object, _)| Err(*object))
}

/// A short text that changes whenever [`Memberships`] do; cheap enough to be asked for often. `None`
/// without a publication of that name.
pub async fn fingerprint(
    session: &Session,
    name: &str,
    server_version: u32,
) -> Result<Option<String>, Error> {
    let rows = members(server_version);
    let text = format!(
        "(SELECT COALESCE(pg_catalog.string_agg(m.kind || m.object || '=' || m.row, ','
                                                ORDER BY m.kind, m.object), '')
          FROM ({rows}) AS m
          WHERE m.publication = p.oid)"
    );
    let hash = if server_version >= SHA256_SINCE {
        format!(
            "pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to({text}, 'UTF8')), 'hex')"
        )
    } else {
        format!("pg_catalog.md5({text})")
    };
    let query = format!(
        "SELECT p.oid::text || '/' || p.xmin::text || '/' || {hash}
         FROM pg_catalog.pg_publication AS p
         WHERE p.pubname = $1"
    );
    let query = session.prepared(&query).await?;
    let row = session.query_opt(&query, &[&name]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Reads a publication's memberships; `None` without a publication of that name.
pub async fn memberships(
    client: &Client,
    name: &str,
    server_version: u32,
) -> Result<Option<Memberships>, Error> {
    let rows = members(server_version);
    // The first row stands for the publication, so that one query sees one state of the catalog.
    let rows = client
        .query(
            &format!(
                "SELECT p.oid,
                        p.xmin::text::bigint,
                        m.kind,
                        m.object,
                        m.row
                 FROM pg_catalog.pg_publication AS p
                 LEFT JOIN ({rows}) AS m
                   ON m.publication = p.oid
                 WHERE p.pubname = $1"
            ),
            &[&name],
        )
        .await?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let xmin: i64 = first.try_get(1)?;
    let xmin = u32::try_from(xmin)
        .map_err(|_error| Error::Protocol(format!("xmin of a publication is {xmin}")))?;
    let mut found = Memberships {
        publication: (first.try_get(0)?, xmin),
        tables: BTreeMap::new(),
        schemas: BTreeMap::new(),
    };
    for row in &rows {
        match row.try_get(2)? {
            Some("t") => found.tables.insert(row.try_get(3)?, row.try_get(4)?),
            Some("s") => found.schemas.insert(row.try_get(3)?, row.try_get(4)?),
            Some(_) | None => None,
        };
    }
    Ok(Some(found))
}

/// Of the tables and schemas of these memberships, those that are still there.
pub async fn existing(client: &Client, of: &Memberships) -> Result<Existing, Error> {
    let tables: Vec<u32> = of.tables.keys().copied().collect();
    let schemas: Vec<u32> = of.schemas.keys().copied().collect();
    let rows = client
        .query(
            "SELECT 't',
                    c.oid
             FROM pg_catalog.pg_class AS c
             WHERE c.oid = ANY ($1)
             UNION ALL
             SELECT 's',
                    n.oid
             FROM pg_catalog.pg_namespace AS n
             WHERE n.oid = ANY ($2)",
            &[&tables, &schemas],
        )
        .await?;
    let mut existing = Existing::default();
    for row in rows {
        match row.try_get(0)? {
            "t" => existing.tables.insert(row.try_get(1)?),
            _ => existing.schemas.insert(row.try_get(1)?),
        };
    }
    Ok(existing)
}

/// A query of all memberships: publication, kind `t` or `s`, table or schema, the row's own OID.
fn members(server_version: u32) -> String {
    let tables = "SELECT r.prpubid,
                         't'::text,
                         r.prrelid,
                         r.oid
                  FROM pg_catalog.pg_publication_rel AS r";
    let schemas = if server_version >= SCHEMAS_SINCE {
        " UNION ALL
         SELECT s.pnpubid,
                's'::text,
                s.pnnspid,
                s.oid
         FROM pg_catalog.pg_publication_namespace AS s"
    } else {
        ""
    };
    format!(
        "SELECT a.publication, a.kind, a.object, a.row
         FROM ({tables}{schemas}) AS a (publication, kind, object, row)"
    )
}

/// `16385/742 t16390=16401 s2200=16402`: publication, then members.
impl fmt::Display for Memberships {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (oid, xmin) = self.publication;
        write!(f, "{oid}/{xmin}")?;
        for (kind, members) in [('t', &self.tables), ('s', &self.schemas)] {
            for (object, row) in members {
                write!(f, " {kind}{object}={row}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Memberships {
    type Err = ParseMembershipsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| ParseMembershipsError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Memberships> {
    let pair = |text: &str, separator: char| {
        let (left, right) = text.split_once(separator)?;
        Some((left.parse().ok()?, right.parse().ok()?))
    };
    let mut words = text.split(' ');
    let mut memberships = Memberships {
        publication: pair(words.next()?, '/')?,
        tables: BTreeMap::new(),
        schemas: BTreeMap::new(),
    };
    for word in words {
        let (members, member) = match word.strip_prefix('t') {
            Some(member) => (&mut memberships.tables, member),
            None => (&mut memberships.schemas, word.strip_prefix('s')?),
        };
        let (object, row) = pair(member, '=')?;
        members.insert(object, row);
    }
    Some(memberships)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memberships(tables: &[(u32, u32)], schemas: &[(u32, u32)]) -> Memberships {
        Memberships {
            publication: (1, 2),
            tables: tables.iter().copied().collect(),
            schemas: schemas.iter().copied().collect(),
        }
    }

    #[test]
    fn a_text_is_read_as_it_was_written() {
        for memberships in [
            memberships(&[], &[]),
            memberships(&[(3, 4), (u32::MAX, 5)], &[(6, 7)]),
        ] {
            let text = memberships.to_string();
            assert_eq!(text.parse(), Ok(memberships), "{text}");
        }
        for text in ["", "1", "1/x", "1/2 ", "1/2 x3=4", "1/2 t3", "1/2 t3=4 s"] {
            assert!(text.parse::<Memberships>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn only_a_drop_of_the_object_itself_explains_a_lost_membership() {
        let then = memberships(&[(3, 4), (5, 6)], &[(3, 8)]);
        let all = Existing {
            tables: [3, 5].into(),
            schemas: [3].into(),
        };
        assert_eq!(then.kept(&then, &all), Ok(()));
        let lost = memberships(&[(5, 6)], &[(3, 8)]);
        assert_eq!(then.kept(&lost, &all), Err(Changed::Table(3)));
        let gone = Existing {
            tables: [5].into(),
            ..all.clone()
        };
        assert_eq!(then.kept(&lost, &gone), Ok(()));
        let again = memberships(&[(3, 9), (5, 6)], &[(3, 8)]);
        assert_eq!(then.kept(&again, &gone), Err(Changed::Table(3)));
        let more = memberships(&[(3, 4), (5, 6), (7, 9)], &[(3, 8)]);
        assert_eq!(then.kept(&more, &all), Ok(()));
        let no_schema = memberships(&[(3, 4), (5, 6)], &[]);
        assert_eq!(then.kept(&no_schema, &all), Err(Changed::Schema(3)));
        let altered = Memberships {
            publication: (1, 3),
            ..then.clone()
        };
        assert_eq!(then.kept(&altered, &all), Err(Changed::Publication));
    }
}
