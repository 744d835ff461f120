//! May the account stream, and publish the selected tables?

use rowcast_domain::TableName;
use rowcast_pg::catalog::TableInfo;
use rowcast_pg::publication::{self, PublicationState, Selection};
use rowcast_pg::settings::{self, Privileges};
use rowcast_pg::{Client, ConnectOptions, Error, ReplicationConnection};
use rowcast_proto::message::{CheckOutcome, ObjectSelection};

use super::Rule;
use super::server_version::PUBLICATIONS_SINCE;
use crate::diagnosis::{Diagnosis, hba};
use crate::finding::{Finding, name_some};
use crate::literal;
use crate::source::Source;

/// SQLSTATE of a login that `pg_hba.conf` does not admit.
const NOT_ADMITTED: &str = "28000";

/// The first version with publications of schemas.
const SCHEMAS_SINCE: u32 = 150_000;

pub(super) const RULE: Rule = Rule {
    code: "privileges",
    title: "The account may do what the task needs",
    ran: "SELECT rolsuper, rolreplication FROM pg_roles; \
          has_database_privilege(current_database(), 'CREATE'); \
          pg_has_role(relowner, 'USAGE') of each selected table",
};

/// Everything that the verdict depends on.
struct Facts {
    privileges: Privileges,
    /// The role by which the server's provider grants replication.
    managed: Option<String>,
    /// `None` where the server has no publications: streaming is all that is needed there.
    publishing: Option<Publishing>,
}

/// What the account may publish.
struct Publishing {
    database: String,
    may_create: bool,
    /// Selected tables that are neither the account's nor of a role that it is a member of.
    foreign: Vec<Owned>,
    /// What the task's publication has, if it exists.
    published: Published,
    /// Tables created later belong to the selection.
    is_open: bool,
    /// The task's publication.
    publication: String,
    /// Creates it for the tables of today, for a role that may.
    statement: String,
    /// Creates it for those of tomorrow too, for a superuser.
    wide_statement: String,
}

/// What a publication has of the selected tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Published {
    /// Not all of today's.
    Less,
    /// All of today's.
    Today,
    /// All of today's, and those that are created later.
    Later,
}

/// A table and its owner.
struct Owned {
    table: TableName,
    owner: String,
    owner_is_superuser: bool,
}

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let settings = settings::read(&source.session).await?;
    let version = settings.server_version;
    let publishing = if version < PUBLICATIONS_SINCE {
        None
    } else {
        Some(publishing(source, version).await?)
    };
    let finding = judge(&Facts {
        privileges: settings::privileges(&source.session).await?,
        managed: settings::managed_replication_role(&source.session).await?,
        publishing,
    });
    if version < PUBLICATIONS_SINCE && finding.outcome != CheckOutcome::Fail {
        let tried = ReplicationConnection::connect(&source.options, settings.encoding()).await;
        if let Err(error) = tried
            && error.sqlstate() == Some(NOT_ADMITTED)
        {
            return Ok(not_admitted(&error, &source.options));
        }
    }
    Ok(finding)
}

/// Before 10 a line of `pg_hba.conf` for a database, or for all, is none for a connection that streams
/// from it.
fn not_admitted(error: &Error, options: &ConnectOptions) -> Finding {
    let diagnosis = if let Error::Server(answer) = error {
        hba::not_admitted(answer, options, None, None)
    } else {
        Diagnosis::of(error, options)
    };
    let finding = diagnosis.finding(error);
    Finding {
        cause: "pg_hba.conf lets the account log in, but not stream: before PostgreSQL 10 that takes a line of its \
                own, for the database named replication."
            .to_owned(),
        ..finding
    }
}

async fn publishing(source: &Source, version: u32) -> Result<Publishing, Error> {
    let Source { session, wish, .. } = source;
    let selected = source.selected().await?;
    let tables = selected.published(session, version).await?;
    let publication = wish.object_name();
    let create = |selection: &Selection| {
        publication::create_statement(&publication, selection, &wish.operations(), version)
    };
    let wide_statement = create(&widest(&wish.objects, version))?;
    let statement = if is_whole(&wish.objects, version) {
        wide_statement.clone()
    } else {
        let names = tables.iter().map(|table| table.name.clone());
        create(&Selection::Tables(names.collect()))?
    };
    let row = session
        .query_one(
            "SELECT pg_catalog.current_database()::text,
                    pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')",
            &[],
        )
        .await?;
    let published = match publication::find(session, &publication).await? {
        Some(state) if !covers(&state, &tables) => Published::Less,
        Some(state) if state.all_tables => Published::Later,
        Some(_) if publishes_schemas(session, &publication, version).await? => Published::Later,
        Some(_) => Published::Today,
        None => Published::Less,
    };
    Ok(Publishing {
        database: row.try_get(0)?,
        may_create: row.try_get(1)?,
        foreign: foreign(session, &tables).await?,
        published,
        is_open: selected.is_open,
        publication,
        statement,
        wide_statement,
    })
}

fn judge(facts: &Facts) -> Finding {
    let Facts {
        privileges,
        managed,
        publishing,
    } = facts;
    if privileges.superuser {
        return Finding::pass(format!("{} is a superuser", privileges.role));
    }
    let role = TableName::quote(&privileges.role);
    let mut problems = Problems::default();
    if !privileges.can_replicate() {
        problems.add(
            "no REPLICATION".to_owned(),
            "Only a role with REPLICATION may stream changes.",
            match managed {
                Some(managed) => format!("GRANT {} TO {role};", TableName::quote(managed)),
                None => format!("ALTER ROLE {role} REPLICATION;"),
            },
        );
    }
    if let Some(publishing) = publishing {
        may_publish(&mut problems, publishing, &role);
    }
    if let Some(finding) = problems.finding() {
        return finding;
    }
    let role = &privileges.role;
    let Some(publishing) = publishing else {
        return Finding::pass(format!("{role} may replicate"));
    };
    let saw = format!("{role} may replicate and publish the selected tables");
    if publishing.is_open && publishing.published != Published::Later {
        return Finding::alert(
            saw,
            "Only a superuser may publish what does not exist yet. Rowcast adds each new table of the \
             selection to its publication, where the account owns it; rows written into the table \
             before that, about two seconds, are not seen.",
            wide_repair(publishing),
        );
    }
    Finding::pass(saw)
}

fn may_publish(problems: &mut Problems, publishing: &Publishing, role: &str) {
    if publishing.published != Published::Less {
        return;
    }
    if !publishing.may_create {
        problems.add(
            format!("no CREATE on database {}", publishing.database),
            "The task's publication cannot be created.",
            format!(
                "GRANT CREATE ON DATABASE {} TO {role};",
                TableName::quote(&publishing.database)
            ),
        );
    }
    if !publishing.foreign.is_empty() {
        let foreign = publishing.foreign.iter();
        let tables = name_some(foreign.map(|owned| owned.table.to_string()));
        problems.add(
            format!("not the owner of {tables}"),
            "Only its owner or a superuser may publish a table.",
            ownership_repair(publishing, role),
        );
    }
}

fn wide_repair(publishing: &Publishing) -> String {
    let name = TableName::quote(&publishing.publication);
    let before = if publishing.published == Published::Today {
        format!("DROP PUBLICATION {name};\n")
    } else {
        String::new()
    };
    format!(
        "As a superuser, while the task does not run:\n{before}{};\nEvery table in it must then have a primary \
         key or a replica identity.\nOr let the owner of a new table add it in the transaction that creates it, by \
         ALTER PUBLICATION {name} ADD TABLE.",
        publishing.wide_statement
    )
}

/// Membership in the owner is the smallest grant, but never that of a superuser.
fn ownership_repair(facts: &Publishing, role: &str) -> String {
    if facts.foreign.iter().any(|owned| owned.owner_is_superuser) {
        return format!("As a superuser:\n{};", facts.statement);
    }
    let mut owners: Vec<&str> = facts
        .foreign
        .iter()
        .map(|owned| owned.owner.as_str())
        .collect();
    owners.sort_unstable();
    owners.dedup();
    let grants = owners
        .iter()
        .map(|owner| format!("GRANT {} TO {role};", TableName::quote(owner)));
    format!(
        "{}\nOr, in the place of that membership, as a superuser:\n{};",
        literal::lines(grants),
        facts.statement
    )
}

#[derive(Default)]
struct Problems {
    saw: Vec<String>,
    causes: Vec<&'static str>,
    repairs: Vec<String>,
}

impl Problems {
    fn add(&mut self, saw: String, cause: &'static str, repair: String) {
        self.saw.push(saw);
        self.causes.push(cause);
        self.repairs.push(repair);
    }

    fn finding(&self) -> Option<Finding> {
        (!self.saw.is_empty()).then(|| {
            Finding::fail(
                self.saw.join("; "),
                self.causes.join(" "),
                self.repairs.join("\n"),
            )
        })
    }
}

/// Whether one publication can hold exactly the selection, tables created later included.
fn is_whole(objects: &ObjectSelection, version: u32) -> bool {
    let whole_schemas =
        objects.schema_patterns.is_empty() && objects.schemas.iter().all(|schema| schema.all);
    objects.all || (version >= SCHEMAS_SINCE && whole_schemas)
}

/// The least that holds tables created later.
fn widest(objects: &ObjectSelection, version: u32) -> Selection {
    if objects.all || version < SCHEMAS_SINCE || !objects.schema_patterns.is_empty() {
        return Selection::AllTables;
    }
    let names = objects.schemas.iter().map(|schema| schema.name.clone());
    Selection::Schemas(names.collect())
}

fn covers(published: &PublicationState, tables: &[TableInfo]) -> bool {
    tables
        .iter()
        .all(|table| published.tables.contains(&table.name))
}

/// Whether the publication holds whole schemas.
async fn publishes_schemas(client: &Client, name: &str, version: u32) -> Result<bool, Error> {
    if version < SCHEMAS_SINCE {
        return Ok(false);
    }
    let row = client
        .query_one(
            "SELECT EXISTS (SELECT 1
                            FROM pg_catalog.pg_publication_namespace AS n
                            JOIN pg_catalog.pg_publication AS p
                              ON p.oid = n.pnpubid
                            WHERE p.pubname = $1)",
            &[&name],
        )
        .await?;
    Ok(row.try_get(0)?)
}

async fn foreign(client: &Client, tables: &[TableInfo]) -> Result<Vec<Owned>, Error> {
    let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
    let rows = client
        .query(
            "SELECT n.nspname::text,
                    c.relname::text,
                    r.rolname::text,
                    r.rolsuper
             FROM pg_catalog.pg_class AS c
             JOIN pg_catalog.pg_namespace AS n
               ON n.oid = c.relnamespace
             JOIN pg_catalog.pg_roles AS r
               ON r.oid = c.relowner
             WHERE c.oid = ANY ($1)
               AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')
             ORDER BY 1, 2",
            &[&oids],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let schema: String = row.try_get(0)?;
            Ok(Owned {
                table: TableName::new(schema, row.try_get::<_, String>(1)?),
                owner: row.try_get(2)?,
                owner_is_superuser: row.try_get(3)?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::{CheckOutcome, SchemaSelection};

    use super::*;

    fn publishing() -> Publishing {
        Publishing {
            database: "shop".to_owned(),
            may_create: true,
            foreign: Vec::new(),
            published: Published::Less,
            is_open: false,
            publication: "p".to_owned(),
            statement: "CREATE PUBLICATION p".to_owned(),
            wide_statement: "CREATE PUBLICATION p FOR ALL TABLES".to_owned(),
        }
    }

    fn plain(publishing: Publishing) -> Facts {
        Facts {
            privileges: Privileges {
                role: "rowcast".to_owned(),
                superuser: false,
                replication: true,
                managed_role: None,
            },
            managed: None,
            publishing: Some(publishing),
        }
    }

    fn owned(owner: &str, owner_is_superuser: bool) -> Owned {
        let table = TableName::new("public", "orders");
        Owned {
            table,
            owner: owner.to_owned(),
            owner_is_superuser,
        }
    }

    #[test]
    fn replication_create_and_ownership_are_enough() {
        assert_eq!(judge(&plain(publishing())).outcome, CheckOutcome::Pass);
    }

    #[test]
    fn every_missing_privilege_is_told_at_once_with_its_grant() {
        let mut facts = plain(Publishing {
            may_create: false,
            foreign: vec![owned("shop owner", false)],
            ..publishing()
        });
        facts.privileges.replication = false;
        let finding = judge(&facts);
        assert_eq!(finding.outcome, CheckOutcome::Fail);
        for grant in [
            "ALTER ROLE \"rowcast\" REPLICATION;",
            "GRANT CREATE ON DATABASE \"shop\" TO \"rowcast\";",
            "GRANT \"shop owner\" TO \"rowcast\";",
        ] {
            assert!(finding.repair.contains(grant), "{}", finding.repair);
        }
    }

    #[test]
    fn nobody_is_told_to_become_a_superuser() {
        let finding = judge(&plain(Publishing {
            foreign: vec![owned("postgres", true)],
            ..publishing()
        }));
        assert_eq!(finding.repair, "As a superuser:\nCREATE PUBLICATION p;");
    }

    #[test]
    fn a_publication_made_by_a_superuser_stands_in_for_create_and_ownership() {
        let finding = judge(&plain(Publishing {
            foreign: vec![owned("postgres", true)],
            may_create: false,
            published: Published::Later,
            is_open: true,
            ..publishing()
        }));
        assert_eq!(finding.outcome, CheckOutcome::Pass);
    }

    #[test]
    fn a_table_of_tomorrow_without_a_superuser_is_worth_knowing() {
        for published in [Published::Less, Published::Today] {
            let finding = judge(&plain(Publishing {
                is_open: true,
                published,
                ..publishing()
            }));
            assert_eq!(finding.outcome, CheckOutcome::Alert);
            assert!(finding.cause.contains("two seconds"), "{}", finding.cause);
            assert_eq!(
                finding.repair.contains("DROP"),
                published == Published::Today
            );
        }
    }

    #[test]
    fn without_publications_replication_is_enough() {
        let mut facts = plain(publishing());
        facts.publishing = None;
        assert_eq!(judge(&facts).outcome, CheckOutcome::Pass);
        facts.privileges.replication = false;
        assert_eq!(judge(&facts).outcome, CheckOutcome::Fail);
    }

    #[test]
    fn a_superuser_needs_nothing_else() {
        let mut facts = plain(Publishing {
            may_create: false,
            ..publishing()
        });
        facts.privileges.superuser = true;
        assert_eq!(judge(&facts).outcome, CheckOutcome::Pass);
    }

    #[test]
    fn the_widest_publication_is_no_wider_than_needed() {
        let schema = |all: bool, patterns: &[&str]| SchemaSelection {
            name: "shop".to_owned(),
            all,
            patterns: patterns.iter().map(|&pattern| pattern.to_owned()).collect(),
            ..SchemaSelection::default()
        };
        let of = |schemas: Vec<SchemaSelection>| ObjectSelection {
            schemas,
            ..ObjectSelection::default()
        };
        let schemas = Selection::Schemas(vec!["shop".to_owned()]);
        let whole = of(vec![schema(true, &[])]);
        assert_eq!(widest(&whole, 150_000), schemas);
        assert_eq!(widest(&whole, 140_000), Selection::AllTables);
        assert!(is_whole(&whole, 150_000) && !is_whole(&whole, 140_000));
        let by_pattern = of(vec![schema(false, &["log_*"])]);
        assert_eq!(widest(&by_pattern, 150_000), schemas);
        assert!(!is_whole(&by_pattern, 150_000));
        let tenants = ObjectSelection {
            schema_patterns: vec!["tenant_*".to_owned()],
            ..ObjectSelection::default()
        };
        assert_eq!(widest(&tenants, 150_000), Selection::AllTables);
        assert!(!is_whole(&tenants, 150_000));
    }
}
