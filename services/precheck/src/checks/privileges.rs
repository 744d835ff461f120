//! May the account stream, and publish the selected tables?

use rowcast_domain::TableName;
use rowcast_pg::publication::{self, PublicationState, Selection};
use rowcast_pg::settings::{self, Privileges};
use rowcast_pg::{Client, Error};

use super::Rule;
use crate::finding::{Finding, name_some};
use crate::selected::Selected;
use crate::source::{Source, Wish};

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
    database: String,
    may_create: bool,
    /// Selected tables that are neither the account's nor of a role that it is a member of.
    foreign: Vec<Owned>,
    /// The task's publication exists and has every selected table.
    is_published: bool,
    /// Tables created later belong to the selection.
    is_open: bool,
    /// Creates the publication, for a role that may.
    statement: String,
}

/// A table and its owner.
struct Owned {
    table: TableName,
    owner: String,
    owner_is_superuser: bool,
}

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let Source { session, wish, .. } = source;
    let selected = source.selected().await?;
    let version = settings::read(session).await?.server_version;
    let name = wish.object_name();
    let statement = publication::create_statement(
        &name,
        &selection(wish, selected, version),
        &wish.operations(),
        version,
    )?;
    let row = session
        .query_one(
            "SELECT pg_catalog.current_database()::text,
                    pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')",
            &[],
        )
        .await?;
    let published = publication::find(session, &name).await?;
    let facts = Facts {
        privileges: settings::privileges(session).await?,
        database: row.try_get(0)?,
        may_create: row.try_get(1)?,
        foreign: foreign(session, selected).await?,
        is_published: published.is_some_and(|published| covers(&published, selected)),
        is_open: selected.is_open,
        statement,
    };
    Ok(judge(&facts))
}

fn judge(facts: &Facts) -> Finding {
    let Facts { privileges, .. } = facts;
    let role = TableName::quote(&privileges.role);
    if privileges.superuser {
        return Finding::pass(format!("{} is a superuser", privileges.role));
    }
    let mut problems = Problems::default();
    if !privileges.can_replicate() {
        problems.add(
            "no REPLICATION".to_owned(),
            "Only a role with REPLICATION may stream changes.",
            format!(
                "ALTER ROLE {role} REPLICATION; -- on Amazon RDS: GRANT rds_replication TO {role};"
            ),
        );
    }
    if !facts.is_published {
        if !facts.may_create {
            problems.add(
                format!("no CREATE on database {}", facts.database),
                "The task's publication cannot be created.",
                format!(
                    "GRANT CREATE ON DATABASE {} TO {role};",
                    TableName::quote(&facts.database)
                ),
            );
        }
        if !facts.foreign.is_empty() {
            let tables = name_some(facts.foreign.iter().map(|owned| owned.table.to_string()));
            problems.add(
                format!("not the owner of {tables}"),
                "Only its owner or a superuser may publish a table.",
                ownership_repair(facts, &role),
            );
        }
    }
    if let Some(finding) = problems.finding() {
        return finding;
    }
    let saw = format!(
        "{} may replicate and publish the selected tables",
        privileges.role
    );
    if facts.is_open && !facts.is_published {
        return Finding::alert(
            saw,
            "Only a superuser may publish a whole database or schema, so the task tracks the tables \
             of today; tables created later do not join by themselves.",
            format!(
                "As a superuser, before the task is started: {};",
                facts.statement
            ),
        );
    }
    Finding::pass(saw)
}

/// Membership in the owner is the smallest grant, but never that of a superuser.
fn ownership_repair(facts: &Facts, role: &str) -> String {
    let as_superuser = format!("As a superuser: {};", facts.statement);
    if facts.foreign.iter().any(|owned| owned.owner_is_superuser) {
        return as_superuser;
    }
    let mut owners: Vec<&str> = facts
        .foreign
        .iter()
        .map(|owned| owned.owner.as_str())
        .collect();
    owners.sort_unstable();
    owners.dedup();
    let grants: Vec<String> = owners
        .iter()
        .map(|owner| format!("GRANT {} TO {role};", TableName::quote(owner)))
        .collect();
    format!("{} -- or: {as_superuser}", grants.join(" "))
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

/// As wide as the wish, so that it holds tables created later where it can.
fn selection(wish: &Wish, selected: &Selected, version: u32) -> Selection {
    let schemas = &wish.objects.schemas;
    if wish.objects.all {
        Selection::AllTables
    } else if version >= SCHEMAS_SINCE && schemas.iter().all(|schema| schema.all) {
        Selection::Schemas(schemas.iter().map(|schema| schema.name.clone()).collect())
    } else {
        Selection::Tables(
            selected
                .tables()
                .iter()
                .map(|table| table.name.clone())
                .collect(),
        )
    }
}

fn covers(published: &PublicationState, selected: &Selected) -> bool {
    selected
        .tables()
        .iter()
        .all(|table| published.tables.contains(&table.name))
}

async fn foreign(client: &Client, selected: &Selected) -> Result<Vec<Owned>, Error> {
    let oids: Vec<u32> = selected.tables().iter().map(|table| table.oid).collect();
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
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    fn facts() -> Facts {
        Facts {
            privileges: Privileges {
                role: "rowcast".to_owned(),
                superuser: false,
                replication: true,
                managed_role: None,
            },
            database: "shop".to_owned(),
            may_create: true,
            foreign: Vec::new(),
            is_published: false,
            is_open: false,
            statement: "CREATE PUBLICATION p".to_owned(),
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
        assert_eq!(judge(&facts()).outcome, CheckOutcome::Pass);
    }

    #[test]
    fn every_missing_privilege_is_told_at_once_with_its_grant() {
        let mut facts = facts();
        facts.privileges.replication = false;
        facts.may_create = false;
        facts.foreign = vec![owned("shop owner", false)];
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
        let foreign = vec![owned("postgres", true)];
        let finding = judge(&Facts { foreign, ..facts() });
        assert_eq!(finding.repair, "As a superuser: CREATE PUBLICATION p;");
    }

    #[test]
    fn a_publication_made_by_a_superuser_stands_in_for_create_and_ownership() {
        let foreign = vec![owned("postgres", true)];
        let facts = Facts {
            foreign,
            may_create: false,
            is_published: true,
            is_open: true,
            ..facts()
        };
        assert_eq!(judge(&facts).outcome, CheckOutcome::Pass);
    }

    #[test]
    fn a_whole_database_without_a_superuser_is_worth_knowing() {
        let finding = judge(&Facts {
            is_open: true,
            ..facts()
        });
        assert_eq!(finding.outcome, CheckOutcome::Alert);
    }

    #[test]
    fn a_superuser_needs_nothing_else() {
        let mut facts = facts();
        facts.privileges.superuser = true;
        facts.may_create = false;
        assert_eq!(judge(&facts).outcome, CheckOutcome::Pass);
    }
}
