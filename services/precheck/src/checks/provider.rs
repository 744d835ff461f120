//! Are the provider's own parameters as they must be?

use rowcast_pg::Error;
use rowcast_proto::rest::SourceKind;

use super::Rule;
use crate::finding::Finding;
use crate::provider::Provider;
use crate::source::Source;

pub(super) const RULE: Rule = Rule {
    code: "provider",
    title: "The provider lets changes be read",
    ran: "SELECT current_setting('<parameter of the provider>', true)",
};

/// What a provider does with slots that nobody reads, or that it does not know.
const NEON: &str = "Neon removes a slot that nobody has read for about 40 hours, where others are read: a task that is \
                    suspended for longer stops at the gap. A restored branch has no slots.";
const PATRONI: &str = "Patroni drops slots that it does not know, when it or PostgreSQL starts anew and nobody reads \
                       them: the task would stop at the gap.";

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let provider = source.wish.provider;
    let Some(name) = parameter(provider) else {
        return Ok(judge(
            provider,
            &source.wish.object_name(),
            &source.options.database,
        ));
    };
    let row = source
        .session
        .query_one("SELECT pg_catalog.current_setting($1, true)", &[&name])
        .await?;
    let value: Option<String> = row.try_get(0)?;
    Ok(judge_parameter(provider, name, value.as_deref()))
}

/// The parameter that lets logical replication in.
const fn parameter(provider: Provider) -> Option<&'static str> {
    match provider.0 {
        SourceKind::Rds | SourceKind::Aurora => Some("rds.logical_replication"),
        SourceKind::CloudSql => Some("cloudsql.logical_decoding"),
        SourceKind::Postgresql
        | SourceKind::Azure
        | SourceKind::Supabase
        | SourceKind::Neon
        | SourceKind::CloudNativePg
        | SourceKind::Patroni => None,
    }
}

fn judge_parameter(provider: Provider, name: &str, value: Option<&str>) -> Finding {
    let title = provider.title();
    match value.filter(|value| !value.is_empty()) {
        Some("on" | "1" | "true") => Finding::pass(format!("{name} = on")),
        Some(value) => Finding::fail(
            format!("{name} = {value}"),
            format!("{title} writes no WAL for logical decoding."),
            format!("Set {name} to on, and restart the server."),
        ),
        None => Finding::alert(
            format!("the server has no parameter {name}"),
            format!("This does not look like {title}: the repairs of this report may not fit."),
            "Look whether the host is right; else tell who runs the source by its kind.",
        ),
    }
}

fn judge(provider: Provider, slot: &str, database: &str) -> Finding {
    match provider.0 {
        SourceKind::Neon => Finding::alert(
            "slots are removed when nobody reads them",
            NEON,
            "Resume a suspended task within a day.",
        ),
        SourceKind::Patroni => Finding::alert(
            "slots are dropped that are not in the configuration",
            PATRONI,
            format!(
                "patronictl edit-config, and add under ignore_slots: {{name: {slot}, type: logical}}; for failover, \
                 under slots: {slot}: {{type: logical, database: {database:?}, plugin: pgoutput}}."
            ),
        ),
        SourceKind::Postgresql
        | SourceKind::Rds
        | SourceKind::Aurora
        | SourceKind::CloudSql
        | SourceKind::Azure
        | SourceKind::Supabase
        | SourceKind::CloudNativePg => {
            Finding::pass(format!("{} has no parameter of its own", provider.title()))
        }
    }
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    #[test]
    fn a_parameter_must_be_on() {
        let outcome = |value| {
            judge_parameter(Provider(SourceKind::Rds), "rds.logical_replication", value).outcome
        };
        assert_eq!(outcome(Some("on")), CheckOutcome::Pass);
        assert_eq!(outcome(Some("off")), CheckOutcome::Fail);
        assert_eq!(outcome(None), CheckOutcome::Alert);
    }

    #[test]
    fn who_drops_slots_is_told_which_to_keep() {
        let found = judge(Provider(SourceKind::Patroni), "rowcast_t1", "shop");
        assert!(
            found.repair.contains("name: rowcast_t1"),
            "{}",
            found.repair
        );
        assert_eq!(
            judge(Provider(SourceKind::Azure), "rowcast_t1", "shop").outcome,
            CheckOutcome::Pass
        );
    }
}
