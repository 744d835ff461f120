//! What a source has, a page at a time.
//!
//! A page begins behind a name and not at a number, so that what is created or dropped between two
//! pages neither hides nor repeats the others.

mod schemas;
mod tables;

use rowcast_domain::Selector;
use rowcast_pg::{Session, catalog};
use rowcast_proto::message::{ObjectLevel, ObjectPage};
use rowcast_proto::subject;

use crate::error::Error;

/// What is to be listed.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) level: ObjectLevel,
    /// Tables of this schema only; empty for all.
    pub(crate) schema: String,
    /// Empty for all.
    pub(crate) search: String,
    pub(crate) partitions: bool,
    pub(crate) limit: usize,
    /// The last name of the page before, in its parts; empty for the first page.
    pub(crate) after: Vec<String>,
}

impl Wanted {
    /// One more than fits, which tells whether there is a next page.
    fn rows(&self) -> i64 {
        i64::try_from(self.limit).map_or(i64::MAX, |limit| limit.saturating_add(1))
    }
}

/// Reads one page.
///
/// # Errors
/// Where the schema does not exist, or the catalog cannot be read.
pub(crate) async fn page(session: &Session, wanted: &Wanted) -> Result<ObjectPage, Error> {
    let mut page = ObjectPage::default();
    match wanted.level {
        ObjectLevel::Databases => {
            let all = catalog::databases(session).await?;
            let search = wanted.search.to_lowercase();
            let after = wanted.after.first();
            let mut found: Vec<String> = all
                .into_iter()
                .filter(|name| name.to_lowercase().contains(&search))
                .filter(|name| after.is_none_or(|after| name > after))
                .collect();
            found.sort();
            page.next = cut(&mut found, wanted, |name| vec![name]);
            page.databases = found;
        }
        ObjectLevel::Schemas => {
            let mut found = schemas::read(session, &trackable(session).await?, wanted).await?;
            page.next = cut(&mut found, wanted, |schema| vec![&schema.name]);
            page.schemas = found;
        }
        ObjectLevel::Tables => {
            let mut schemas = trackable(session).await?;
            if !wanted.schema.is_empty() {
                schemas.retain(|name| *name == wanted.schema);
                if schemas.is_empty() {
                    return Err(Error::NoSchema(wanted.schema.clone()));
                }
            }
            let mut found = tables::names(session, &schemas, wanted).await?;
            page.next = cut(&mut found, wanted, |name| vec![&name.schema, &name.table]);
            page.tables = tables::read(session, found).await?;
        }
        ObjectLevel::Unspecified => return Err(Error::Missing("level")),
    }
    Ok(page)
}

/// The schemas that a task for the whole database would track.
async fn trackable(session: &Session) -> Result<Vec<String>, Error> {
    let all = Selector {
        all: true,
        ..Selector::default()
    };
    let mut schemas = catalog::schemas(session).await?;
    schemas.retain(|name| all.touches_schema(name));
    Ok(schemas)
}

/// Cuts the rest off; gives where the next page begins, empty where there is none.
fn cut<T>(found: &mut Vec<T>, wanted: &Wanted, name: impl Fn(&T) -> Vec<&String>) -> String {
    if found.len() <= wanted.limit {
        return String::new();
    }
    found.truncate(wanted.limit);
    let last = found.last().map(name).unwrap_or_default();
    let parts: Vec<String> = last.into_iter().map(|part| subject::escape(part)).collect();
    parts.join(".")
}

/// The parts of a name behind which a page begins.
///
/// # Errors
/// Where it is none that a page ended with.
pub(crate) fn parse_after(level: ObjectLevel, after: &str) -> Result<Vec<String>, Error> {
    if after.is_empty() {
        return Ok(Vec::new());
    }
    let parts: Option<Vec<String>> = after.split('.').map(subject::unescape).collect();
    let expected = match level {
        ObjectLevel::Tables => 2,
        ObjectLevel::Databases | ObjectLevel::Schemas | ObjectLevel::Unspecified => 1,
    };
    parts
        .filter(|parts| parts.len() == expected)
        .ok_or(Error::After)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_begins_behind_any_name() {
        let wanted = Wanted {
            level: ObjectLevel::Tables,
            schema: String::new(),
            search: String::new(),
            partitions: false,
            limit: 1,
            after: Vec::new(),
        };
        let mut found = vec![["a.b".to_owned(), "ü \"x\"".to_owned()]; 2];
        let next = cut(&mut found, &wanted, |parts| parts.iter().collect());
        assert_eq!(found.len(), 1);
        assert_eq!(
            parse_after(ObjectLevel::Tables, &next).unwrap(),
            ["a.b", "ü \"x\""]
        );
        assert!(parse_after(ObjectLevel::Schemas, &next).is_err());
        assert!(parse_after(ObjectLevel::Tables, "a.b=").is_err());
        assert_eq!(cut(&mut found, &wanted, |parts| parts.iter().collect()), "");
    }
}
