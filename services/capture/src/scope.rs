//! What a task's publication lists: computed from the task's objects, read from the server, and
//! brought from one to the other.

use std::collections::{BTreeMap, BTreeSet};

use rowcast_domain::{Selector, TableName};
use rowcast_pg::publication::{self, Selection};
use rowcast_pg::publishable::{self, Publishable};
use rowcast_pg::{Error, Session};

/// First version with publications of schemas (PostgreSQL docs, "CREATE PUBLICATION").
const SCHEMAS_SINCE: u32 = 150_000;

/// First version that publishes partitioned tables under their own name; before, the partitions are
/// published, and capture gives their changes the name of the root.
const ROOTS_SINCE: u32 = 130_000;

/// What a publication lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Every table, those created later included.
    Everything,
    /// Whole schemas, those of their tables included that are created later, and tables.
    Objects {
        schemas: BTreeSet<String>,
        tables: BTreeSet<TableName>,
    },
}

/// What the server and our role allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Means {
    pub(crate) server_version: u32,
    pub(crate) superuser: bool,
    /// Changes come by `test_decoding`: there is no publication, and every table is sent.
    pub(crate) translated: bool,
    /// Updates or deletes are published: tables without identity must be left out.
    pub(crate) needs_identity: bool,
}

/// The database from the view of a task's objects.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct View {
    tables: Vec<Publishable>,
    schemas: Vec<String>,
    means: Means,
}

impl View {
    /// Looks at the database; `publication` need not exist.
    pub(crate) async fn read(
        session: &Session,
        publication: &str,
        means: Means,
    ) -> Result<Self, Error> {
        Ok(Self {
            tables: publishable::tables(session, publication).await?,
            schemas: rowcast_pg::catalog::schemas(session).await?,
            means,
        })
    }

    /// What the publication must list: as wide as the server and our role allow, so that new tables
    /// join at once, else the tables of today.
    pub(crate) fn scope(&self, selector: &Selector) -> Scope {
        let Means {
            server_version,
            superuser,
            ..
        } = self.means;
        // A publication of everything publishes tables without identity too, and breaks what the
        // application does with them.
        let wide = superuser && self.without_identity(selector).is_empty();
        if selector.all && wide {
            return Scope::Everything;
        }
        let mut schemas = BTreeSet::new();
        if wide && server_version >= SCHEMAS_SINCE {
            let whole = self.schemas.iter().filter(|s| selector.matches_schema(s));
            schemas.extend(whole.cloned());
        }
        let wanted = self.wanted(selector);
        let tables = wanted
            .filter(|table| !schemas.contains(&table.name.schema) && self.may_list(table))
            .map(|table| table.name.clone())
            .collect();
        Scope::Objects { schemas, tables }
    }

    /// Tables that are wanted but would break the application if they were published.
    pub(crate) fn without_identity<'a>(&'a self, selector: &'a Selector) -> Vec<&'a TableName> {
        self.wanted(selector)
            .filter(|table| !self.may_list(table))
            .map(|table| &table.name)
            .collect()
    }

    /// Tables that are named one by one and do not exist.
    pub(crate) fn missing(&self, selector: &Selector) -> Vec<TableName> {
        let mut named = selector.named_tables();
        named.retain(|name| !self.tables.iter().any(|table| table.name == *name));
        named
    }

    /// OIDs of the listed tables that a selection takes.
    pub(crate) fn members(&self, selector: &Selector) -> BTreeSet<u32> {
        let members = self.wanted(selector).filter(|table| table.listed);
        members.map(|table| table.oid).collect()
    }

    /// OIDs of partitioned tables that one selection takes and the other does not, though it takes
    /// some of their partitions: while the root is listed, those come under its name.
    pub(crate) fn bridges(&self, one: &Selector, other: &Selector) -> BTreeSet<u32> {
        if self.means.server_version < ROOTS_SINCE {
            return BTreeSet::new();
        }
        let takes =
            |selector: &Selector, name: &TableName| selector.matches(&name.schema, &name.table);
        let roots = self.tables.iter().filter(|table| table.partitioned);
        let bridging = roots.filter(|root| {
            let without = match (takes(one, &root.name), takes(other, &root.name)) {
                (true, false) => other,
                (false, true) => one,
                (true, true) | (false, false) => return false,
            };
            let mut partitions = self
                .tables
                .iter()
                .filter(|table| table.root.as_ref() == Some(&root.name));
            partitions.any(|partition| takes(without, &partition.name))
        });
        bridging.map(|root| root.oid).collect()
    }

    /// Of these OIDs, those of listed tables that the selection does not take by name: they were
    /// renamed since it did. Those that have become partitions of what it takes come by its name.
    pub(crate) fn renamed(&self, selector: &Selector, tables: &BTreeSet<u32>) -> BTreeSet<u32> {
        let listed = self.tables.iter().filter(|table| table.listed);
        listed
            .filter(|table| tables.contains(&table.oid) && !self.is_wanted(selector, table))
            .filter(|table| !self.comes_as_root(selector, table) && self.may_list(table))
            .map(|table| table.oid)
            .collect()
    }

    /// The topmost table above each partition, where the decoder must be told that it is another one.
    /// `pgoutput` of 13 and 14 asks once for what a partition is published as, and again only after
    /// the publication was altered (`get_rel_sync_entry` in `pgoutput.c`).
    pub(crate) fn remembered_roots(&self) -> BTreeMap<u32, TableName> {
        if !(ROOTS_SINCE..SCHEMAS_SINCE).contains(&self.means.server_version) {
            return BTreeMap::new();
        }
        let partitions = self.tables.iter();
        partitions
            .filter_map(|table| Some((table.oid, table.root.clone()?)))
            .collect()
    }

    /// Names of listed tables that must leave before updates or deletes are published, whoever wants them.
    pub(crate) fn must_leave(&self) -> Vec<TableName> {
        let listed = self.tables.iter().filter(|table| table.listed);
        let leaving = listed.filter(|table| !self.may_list(table));
        leaving.map(|table| table.name.clone()).collect()
    }

    /// Names that tables with these OIDs have now, of those that may be listed.
    pub(crate) fn names_of(&self, tables: &BTreeSet<u32>) -> Vec<TableName> {
        let known = self
            .tables
            .iter()
            .filter(|table| tables.contains(&table.oid));
        let may = known.filter(|table| self.may_list(table));
        may.map(|table| table.name.clone()).collect()
    }

    /// Names of the tables that the publication lists but nobody wants any more. `kept` are OIDs of
    /// tables that were taken by a name that they have lost since.
    pub(crate) fn unwanted(&self, selector: &Selector, kept: &BTreeSet<u32>) -> Vec<TableName> {
        let listed = self.tables.iter().filter(|table| table.listed);
        listed
            .filter(|table| !self.is_wanted(selector, table) && !kept.contains(&table.oid))
            .map(|table| table.name.clone())
            .collect()
    }

    fn wanted<'a>(&'a self, selector: &'a Selector) -> impl Iterator<Item = &'a Publishable> {
        let tables = self.tables.iter();
        tables.filter(move |table| self.is_wanted(selector, table))
    }

    fn is_wanted(&self, selector: &Selector, table: &Publishable) -> bool {
        let matches = |name: &TableName| selector.matches(&name.schema, &name.table);
        let root = table.root.as_ref();
        if self.means.server_version < ROOTS_SINCE {
            return !table.partitioned && (matches(&table.name) || root.is_some_and(matches));
        }
        matches(&table.name) && !self.comes_as_root(selector, table)
    }

    /// Whether changes of a partition come under its root, because that is wanted.
    fn comes_as_root(&self, selector: &Selector, table: &Publishable) -> bool {
        let mut root = table.root.iter();
        self.means.server_version >= ROOTS_SINCE
            && root.any(|root| selector.matches(&root.schema, &root.table))
    }

    const fn may_list(&self, table: &Publishable) -> bool {
        table.has_identity || !self.means.needs_identity
    }
}

impl Scope {
    /// With these tables too.
    pub(crate) fn and(self, more: Vec<TableName>) -> Self {
        match self {
            Self::Everything => Self::Everything,
            Self::Objects {
                schemas,
                mut tables,
            } => {
                let more = more.into_iter();
                tables.extend(more.filter(|table| !schemas.contains(&table.schema)));
                Self::Objects { schemas, tables }
            }
        }
    }

    /// Whether it lists tables one by one and nothing else.
    pub(crate) fn is_of_tables(&self) -> bool {
        matches!(self, Self::Objects { schemas, .. } if schemas.is_empty())
    }

    /// Reads what a publication lists; `None` where there is none.
    pub(crate) async fn read(session: &Session, name: &str) -> Result<Option<Self>, Error> {
        let Some(found) = publication::find(session, name).await? else {
            return Ok(None);
        };
        if found.all_tables {
            return Ok(Some(Self::Everything));
        }
        let schemas = publication::listed_schemas(session, name).await?;
        let tables = publication::listed_tables(session, name).await?;
        Ok(Some(Self::Objects {
            schemas: schemas.into_iter().collect(),
            tables: tables.into_iter().map(|(_, table)| table).collect(),
        }))
    }

    /// Whether it lists nothing.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Everything => false,
            Self::Objects { schemas, tables } => schemas.is_empty() && tables.is_empty(),
        }
    }

    /// What must be added to have all of `wanted`.
    pub(crate) fn missing(&self, wanted: &Self) -> Option<Self> {
        let (schemas, tables) = match (self, wanted) {
            (Self::Everything, _) => return None,
            (Self::Objects { .. }, Self::Everything) => return Some(Self::Everything),
            (
                Self::Objects { schemas, tables },
                Self::Objects {
                    schemas: wanted_schemas,
                    tables: wanted_tables,
                },
            ) => (wanted_schemas - schemas, wanted_tables - tables),
        };
        let missing = Self::Objects { schemas, tables };
        (!missing.is_empty()).then_some(missing)
    }

    /// What may be taken out: the schemas that `wanted` does not have, and `tables`.
    pub(crate) fn without(&self, wanted: &Self, tables: Vec<TableName>) -> Option<Self> {
        let schemas = match (self, wanted) {
            (Self::Everything, _) | (_, Self::Everything) => return None,
            (
                Self::Objects { schemas, .. },
                Self::Objects {
                    schemas: wanted, ..
                },
            ) => schemas - wanted,
        };
        let unwanted = Self::Objects {
            schemas,
            tables: tables.into_iter().collect(),
        };
        (!unwanted.is_empty()).then_some(unwanted)
    }

    /// The same, as the publication's definition.
    pub(crate) fn selection(&self) -> Selection {
        match self {
            Self::Everything => Selection::AllTables,
            Self::Objects { schemas, tables } => Selection::Objects {
                schemas: schemas.iter().cloned().collect(),
                tables: tables.iter().cloned().collect(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use rowcast_domain::SchemaSelector;

    use super::*;

    fn table(oid: u32, name: &str, root: Option<&str>) -> Publishable {
        Publishable {
            oid,
            name: TableName::new("shop", name),
            partitioned: false,
            root: root.map(|root| TableName::new("shop", root)),
            has_identity: true,
            listed: oid == 2,
        }
    }

    fn view(server_version: u32, superuser: bool) -> View {
        let mut keyless = table(4, "keyless", None);
        keyless.has_identity = false;
        let mut log = table(1, "log", None);
        log.partitioned = true;
        View {
            tables: vec![
                table(2, "orders", None),
                keyless,
                log,
                table(3, "log_1", Some("log")),
            ],
            schemas: vec!["shop".to_owned(), "crm".to_owned()],
            means: Means {
                server_version,
                superuser,
                translated: false,
                needs_identity: true,
            },
        }
    }

    fn shop(tables: &[&str]) -> Selector {
        let schema = SchemaSelector {
            name: "shop".to_owned(),
            all: tables.is_empty(),
            tables: tables.iter().map(|&table| table.to_owned()).collect(),
            patterns: Vec::new(),
        };
        Selector {
            schemas: vec![schema],
            ..Selector::default()
        }
    }

    fn tables(scope: &Scope) -> Vec<&str> {
        match scope {
            Scope::Everything => panic!("everything"),
            Scope::Objects { tables, .. } => tables.iter().map(|t| t.table.as_str()).collect(),
        }
    }

    #[test]
    fn roots_are_published_where_they_can_be_else_their_partitions() {
        assert_eq!(
            tables(&view(150_000, false).scope(&shop(&[]))),
            ["log", "orders"]
        );
        assert_eq!(
            tables(&view(120_000, true).scope(&shop(&[]))),
            ["log_1", "orders"]
        );
        assert_eq!(
            tables(&view(120_000, true).scope(&shop(&["log"]))),
            ["log_1"]
        );
        assert_eq!(
            tables(&view(150_000, true).scope(&shop(&["log_1"]))),
            ["log_1"]
        );
    }

    #[test]
    fn a_table_without_identity_is_left_out() {
        let view = view(150_000, false);
        assert_eq!(
            view.without_identity(&shop(&[])),
            [&TableName::new("shop", "keyless")]
        );
        assert_eq!(
            view.missing(&shop(&["orders", "x"])),
            [TableName::new("shop", "x")]
        );
    }

    #[test]
    fn a_superuser_publishes_whole_schemas_from_15_on() {
        // Not while a table has no identity.
        assert_eq!(
            tables(&view(150_000, true).scope(&shop(&[]))),
            ["log", "orders"]
        );
        let mut view = view(150_000, true);
        view.means.needs_identity = false;
        let scope = view.scope(&shop(&[]));
        let Scope::Objects { schemas, tables } = scope else {
            panic!("everything")
        };
        assert!(schemas.contains("shop") && tables.is_empty());
        let all = Selector {
            all: true,
            ..Selector::default()
        };
        assert_eq!(view.scope(&all), Scope::Everything);
    }

    #[test]
    fn what_was_renamed_since_stays() {
        let view = view(150_000, false);
        assert_eq!(view.unwanted(&shop(&["x"]), &BTreeSet::from([2])), []);
        assert_eq!(
            view.unwanted(&shop(&["x"]), &BTreeSet::new()),
            [TableName::new("shop", "orders")]
        );
    }

    #[test]
    fn a_root_stays_told_while_its_partitions_come_under_its_name() {
        let view = view(150_000, false);
        let (root, leaf) = (shop(&["log"]), shop(&["log_1"]));
        assert_eq!(view.bridges(&root, &leaf), BTreeSet::from([1]));
        assert_eq!(view.bridges(&leaf, &root), BTreeSet::from([1]));
        assert_eq!(view.bridges(&root, &shop(&["orders"])), BTreeSet::new());
    }

    #[test]
    fn only_what_is_not_listed_is_added() {
        let small = view(150_000, false).scope(&shop(&["orders"]));
        let large = view(150_000, false).scope(&shop(&[]));
        assert_eq!(small.missing(&small), None);
        assert_eq!(tables(&small.missing(&large).unwrap()), ["log"]);
        assert_eq!(large.missing(&small), None);
        assert_eq!(small.missing(&Scope::Everything), Some(Scope::Everything));
    }
}
