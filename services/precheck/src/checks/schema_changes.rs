//! Does the source tell schema changes, or may the account make it tell them?
//!
//! PostgreSQL does not put DDL into the logical stream (docs, "Logical Replication", Restrictions):
//! an event trigger in schema `rowcast` does. The task installs it at its start where it may.

use rowcast_pg::ddl_trigger::{self, Permission};
use rowcast_pg::{Error, settings};

use super::Rule;
use crate::finding::{Finding, name_some};
use crate::literal;
use crate::source::Source;

mod trigger;

pub(super) const RULE: Rule = Rule {
    code: "schema_changes",
    title: "Schema changes are told by the source",
    ran: "SELECT evtname, evtenabled FROM pg_event_trigger JOIN pg_proc ON pg_proc.oid = evtfoid \
          WHERE evtname LIKE 'rowcast\\_%'; SELECT rolsuper FROM pg_roles",
};

/// The triggers of schema `rowcast`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Triggers {
    /// None is there, or what is there is not what this version needs.
    Missing,
    /// These do not fire for what applications do.
    Disabled(Vec<String>),
    /// No trigger of the server fires.
    ServerOff,
    /// All fire.
    Installed,
}

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let version = settings::read(&source.session).await?.server_version;
    let triggers = trigger::find(&source.session, version).await?;
    let permission = ddl_trigger::can_install(&source.session).await?;
    Ok(judge(
        &triggers,
        permission,
        &ddl_trigger::install_sql(version),
    ))
}

fn judge(triggers: &Triggers, permission: Permission, install: &str) -> Finding {
    match triggers {
        Triggers::Installed => Finding::pass("the event triggers are installed"),
        Triggers::ServerOff => Finding::fail(
            "event_triggers = off",
            "No event trigger of the server fires, so schema changes are not told.",
            literal::set("event_triggers", "on"),
        ),
        Triggers::Disabled(names) => Finding::fail(
            format!("disabled: {}", name_some(names.iter().cloned())),
            "A disabled event trigger tells nothing.",
            enable(names),
        ),
        Triggers::Missing => match permission {
            Permission::Yes => Finding::pass(
                "no event trigger yet; the account is a superuser, so the task installs it",
            ),
            Permission::Maybe => Finding::alert(
                "no event trigger yet; the account is an administrator of a managed service",
                "Not every managed service lets its administrators create event triggers: only the \
                 start of the task tells.",
                format!("Nothing, or run this SQL as a superuser beforehand:\n{install}"),
            ),
            Permission::No => Finding::fail(
                "no event trigger, and the account is no superuser",
                "Schema changes are told by an event trigger, which only a superuser may create.",
                format!("Run this SQL as a superuser:\n{install}"),
            ),
        },
    }
}

fn enable(names: &[String]) -> String {
    let statements = names.iter().map(|name| {
        let quoted = rowcast_domain::TableName::quote(name);
        format!("ALTER EVENT TRIGGER {quoted} ENABLE;")
    });
    literal::lines(statements)
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    #[test]
    fn who_may_not_install_the_trigger_gets_its_sql() {
        let of = |permission| judge(&Triggers::Missing, permission, "CREATE THIS;");
        assert_eq!(of(Permission::Yes).outcome, CheckOutcome::Pass);
        for (permission, outcome) in [
            (Permission::Maybe, CheckOutcome::Alert),
            (Permission::No, CheckOutcome::Fail),
        ] {
            let finding = of(permission);
            assert_eq!(finding.outcome, outcome);
            assert!(finding.repair.ends_with("\nCREATE THIS;"), "{finding:?}");
        }
    }

    #[test]
    fn an_installed_trigger_needs_no_rights() {
        let finding = judge(&Triggers::Installed, Permission::No, "");
        assert_eq!(finding.outcome, CheckOutcome::Pass);
    }

    #[test]
    fn a_disabled_trigger_is_enabled_by_name() {
        let disabled = Triggers::Disabled(vec!["rowcast_sql_drop".to_owned()]);
        let finding = judge(&disabled, Permission::Yes, "");
        assert_eq!(finding.outcome, CheckOutcome::Fail);
        assert_eq!(
            finding.repair,
            "ALTER EVENT TRIGGER \"rowcast_sql_drop\" ENABLE;"
        );
        let off = judge(&Triggers::ServerOff, Permission::Yes, "");
        assert_eq!(off.outcome, CheckOutcome::Fail);
    }
}
