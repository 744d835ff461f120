//! A repair as it is done at a provider: line by line, whatever its check, for what a check says word for word stands in
//! lines of its own ([`crate::literal`]).

use rowcast_proto::rest::SourceKind;

use super::Provider;

/// Parameters that take a restart (PostgreSQL docs, "Server Configuration").
const STATIC: [&str; 3] = ["wal_level", "max_replication_slots", "max_wal_senders"];

/// Those of ours that the command of Supabase sets.
const OF_SUPABASE: [&str; 4] = [
    "max_replication_slots",
    "max_wal_senders",
    "max_slot_wal_keep_size",
    "wal_sender_timeout",
];

/// What stands before statements that are told otherwise at a provider.
const HEADINGS: [&str; 3] = [
    "Run this, then restart PostgreSQL:",
    "Then run:",
    "Run this:",
];

/// The repair at this provider.
pub(super) fn at(provider: Provider, repair: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in repair.lines() {
        let told = told(provider, line);
        let is_otherwise = told.as_deref() != Some(line);
        if is_otherwise
            && lines
                .last()
                .is_some_and(|last| HEADINGS.contains(&last.as_str()))
        {
            lines.pop();
        }
        // What is said of several lines is said once.
        if let Some(told) = told
            && (!is_otherwise || !lines.contains(&told))
        {
            lines.push(told);
        }
    }
    lines.join("\n")
}

/// What a line says there; `None` for nothing.
fn told(provider: Provider, line: &str) -> Option<String> {
    let title = provider.title();
    let said = |text: String| Some(format!("On {title}: {text}"));
    if let Some((name, value)) = assignment(line) {
        return said(parameter(provider.0, name, value));
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.first().copied() {
        // Every provider reloads by itself.
        Some("SELECT") if line.contains("pg_reload_conf()") => None,
        Some("host" | "hostssl" | "hostnossl" | "local") if words.len() >= 4 => {
            line_of_hba(provider.0, line)
        }
        Some("ALTER") if line.starts_with("ALTER ROLE ") && line.ends_with(" REPLICATION;") => {
            Some(replication(provider, line))
        }
        Some("openssl" | "chmod") if !has_files(provider.0) => None,
        Some("Add") if line.starts_with("Add to pg_hba.conf") => said(hba(provider.0).to_owned()),
        Some("Switch") if line.starts_with("Switch TLS on") && !has_files(provider.0) => said(
            "TLS is always on; look whether host and port are right, and lead to the server itself.".to_owned(),
        ),
        Some("On") if line.starts_with("On a managed service") => None,
        Some("Start") if line.starts_with("Start PostgreSQL") => {
            Some("Look whether the server runs, and correct host and port.".to_owned())
        }
        _ => Some(match administrator(provider.0) {
            Some(administrator) => line
                .replace("s a superuser", &format!("s {administrator}"))
                .replace("by a superuser", &format!("by {administrator}")),
            None => line.to_owned(),
        }),
    }
}

/// Name and value of `ALTER SYSTEM SET name = value;`.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let assignment = line.strip_prefix("ALTER SYSTEM SET ")?.strip_suffix(';')?;
    let (name, value) = assignment.split_once(" = ")?;
    Some((name, value.trim_matches('\'')))
}

/// The value in the unit of the parameter (`unit` of `pg_settings`), as consoles take it.
fn plain(value: &str) -> String {
    let scaled = |suffix: &str, factor: u64| {
        let number: u64 = value.strip_suffix(suffix)?.parse().ok()?;
        Some(number.saturating_mul(factor).to_string())
    };
    scaled("GB", 1024)
        .or_else(|| scaled("s", 1000))
        .unwrap_or_else(|| value.to_owned())
}

/// How a parameter is set.
fn parameter(kind: SourceKind, name: &str, value: &str) -> String {
    let is_static = STATIC.contains(&name);
    let after = |text: &'static str| if is_static { text } else { "" };
    match (kind, name) {
        (_, "wal_level") => wal_level(kind).to_owned(),
        (SourceKind::Patroni, "listen_addresses") => {
            "set postgresql.listen in the configuration file of each member, and restart them.".to_owned()
        }
        (_, "listen_addresses") => {
            "the server listens on its addresses; look whether it runs, and whether the port is right.".to_owned()
        }
        (SourceKind::Azure, "max_slot_wal_keep_size") => {
            "max_slot_wal_keep_size cannot be set; let the storage grow by itself, and watch it.".to_owned()
        }
        (SourceKind::Rds, _) => format!(
            "set {name} = {} in the instance's parameter group{}.",
            plain(value),
            after(", then reboot the instance")
        ),
        (SourceKind::Aurora, _) => format!(
            "set {name} = {} in the DB cluster parameter group{}.",
            plain(value),
            after(", then reboot the writer")
        ),
        (SourceKind::CloudSql, _) => format!(
            "set the database flag {name} = {}{}.",
            plain(value),
            after("; the instance restarts")
        ),
        (SourceKind::Azure, _) => format!(
            "set the server parameter {name} = {}, and save{}.",
            plain(value),
            after("; then restart the server")
        ),
        (SourceKind::Supabase, _) if OF_SUPABASE.contains(&name) => format!(
            "supabase --experimental postgres-config update --config {name}={value}, with --project-ref of the project{}.",
            after("; the database restarts")
        ),
        (SourceKind::Supabase, _) => {
            format!("ask the support for {name} = {value}; its command does not set it.")
        }
        (SourceKind::Neon, _) => format!(
            "parameters of the server cannot be set; ask the support for {name} = {value}."
        ),
        (SourceKind::CloudNativePg, _) => format!(
            "set {name}: \"{value}\" under spec.postgresql.parameters of the Cluster{}.",
            after("; the operator restarts it")
        ),
        (SourceKind::Patroni, _) => format!(
            "patronictl edit-config -s 'postgresql.parameters.{name}={value}'{}.",
            after(", then patronictl restart of the cluster")
        ),
        (SourceKind::Postgresql, _) => format!("set {name} = {value}."),
    }
}

/// What lets logical replication in.
const fn wal_level(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Postgresql => "set wal_level = logical, then restart it.",
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
            "patronictl edit-config -s 'postgresql.parameters.wal_level=logical', then patronictl restart of the cluster."
        }
    }
}

/// How a role is let stream.
fn replication(provider: Provider, line: &str) -> String {
    let title = provider.title();
    match provider.0 {
        SourceKind::Postgresql | SourceKind::Patroni => line.to_owned(),
        SourceKind::Rds | SourceKind::Aurora => {
            let role = line
                .trim_start_matches("ALTER ROLE ")
                .trim_end_matches(" REPLICATION;");
            format!("GRANT rds_replication TO {role};")
        }
        SourceKind::CloudSql => {
            format!("On {title}, as a member of cloudsqlsuperuser:\n{line}")
        }
        SourceKind::Azure => format!("On {title}, as the server's admin:\n{line}"),
        SourceKind::Supabase => format!("On {title}, as postgres:\n{line}"),
        SourceKind::Neon => format!(
            "On {title}: give the source a role that was made in the console, by the command or the API; such roles have \
             REPLICATION, those made by SQL have not."
        ),
        SourceKind::CloudNativePg => format!(
            "On {title}: declare the role in spec.managed.roles of the Cluster with login: true and replication: true; \
             one that is not declared there:\n{line}"
        ),
    }
}

/// Who may do there what takes a superuser elsewhere; `None` where there is one.
const fn administrator(kind: SourceKind) -> Option<&'static str> {
    match kind {
        SourceKind::Postgresql | SourceKind::CloudNativePg | SourceKind::Patroni => None,
        SourceKind::Rds | SourceKind::Aurora => Some("a member of rds_superuser"),
        SourceKind::CloudSql => Some("a member of cloudsqlsuperuser"),
        SourceKind::Azure => Some("a member of azure_pg_admin"),
        SourceKind::Supabase => Some("the role postgres"),
        SourceKind::Neon => Some("a member of neon_superuser"),
    }
}

/// Whether its users reach the server's files.
const fn has_files(kind: SourceKind) -> bool {
    match kind {
        SourceKind::Postgresql | SourceKind::Patroni => true,
        SourceKind::Rds
        | SourceKind::Aurora
        | SourceKind::CloudSql
        | SourceKind::Azure
        | SourceKind::Supabase
        | SourceKind::Neon
        | SourceKind::CloudNativePg => false,
    }
}

/// Where lines of `pg_hba.conf` belong.
const fn hba(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Postgresql => "add to pg_hba.conf:",
        SourceKind::Patroni => {
            "patronictl edit-config, and add to postgresql.pg_hba, above what rejects it:"
        }
        SourceKind::CloudNativePg => "add to spec.postgresql.pg_hba of the Cluster:",
        SourceKind::Rds | SourceKind::Aurora => {
            "nobody edits who is let in. Where rds.force_ssl is 1, that takes sslmode = require or more at the source; else \
             look at account, database and security group."
        }
        SourceKind::CloudSql => {
            "nobody edits who is let in. Where the instance allows encrypted connections only, that takes sslmode = require \
             or more at the source; where it asks for client certificates, sslcert and sslkey too."
        }
        SourceKind::Azure => {
            "nobody edits who is let in. Where require_secure_transport is on, that takes sslmode = require or more at the \
             source; else look at the firewall rules."
        }
        SourceKind::Supabase => {
            "nobody edits who is let in. Where SSL is enforced, that takes sslmode = require or more at the source; else \
             look at the network restrictions."
        }
        SourceKind::Neon => {
            "nobody edits who is let in. It takes sslmode = require or more at the source, and an address of the IP allow \
             list."
        }
    }
}

/// A line of `pg_hba.conf`, where its users may add one.
fn line_of_hba(kind: SourceKind, line: &str) -> Option<String> {
    match kind {
        SourceKind::Postgresql => Some(line.to_owned()),
        SourceKind::Patroni | SourceKind::CloudNativePg => Some(format!("- {line}")),
        SourceKind::Rds
        | SourceKind::Aurora
        | SourceKind::CloudSql
        | SourceKind::Azure
        | SourceKind::Supabase
        | SourceKind::Neon => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everybody but its users.
    fn providers() -> impl Iterator<Item = Provider> {
        let kinds = SourceKind::ALL.into_iter();
        kinds.map(Provider).filter(|provider| provider.is_known())
    }

    #[test]
    fn no_provider_is_told_to_alter_the_system() {
        for repair in [
            "Run this, then restart PostgreSQL:\nALTER SYSTEM SET wal_level = 'logical';\nOn a managed service set its \
             parameter instead: tell who runs the source by its kind, and this says which.",
            "Run this, then restart PostgreSQL:\nALTER SYSTEM SET max_replication_slots = 11;",
            "Run this, then restart PostgreSQL:\nALTER SYSTEM SET max_wal_senders = 11;",
            "Set what the disk can spare:\nALTER SYSTEM SET max_slot_wal_keep_size = '64GB';\nSELECT pg_reload_conf();",
            "ALTER SYSTEM SET idle_replication_slot_timeout = 0;\nSELECT pg_reload_conf();",
            "ALTER SYSTEM SET wal_sender_timeout = '60s';\nSELECT pg_reload_conf();",
            "ALTER SYSTEM SET synchronized_standby_slots = 'a, b';\nSELECT pg_reload_conf();",
            "ALTER SYSTEM SET event_triggers = on;\nSELECT pg_reload_conf();",
            "ALTER SYSTEM SET ssl = on;\nSELECT pg_reload_conf();",
            "Start PostgreSQL. Where it listens on localhost only, run this, then restart PostgreSQL:\nALTER SYSTEM SET \
             listen_addresses = '*';",
        ] {
            for provider in providers() {
                let told = at(provider, repair);
                let title = provider.title();
                for never in [
                    "ALTER SYSTEM",
                    "pg_reload_conf",
                    "restart PostgreSQL",
                    "managed service",
                ] {
                    assert!(!told.contains(never), "{title}: {told}");
                }
                assert!(told.contains(&format!("On {title}: ")), "{told}");
            }
        }
    }

    fn of(kind: SourceKind, repair: &str) -> String {
        at(Provider(kind), repair)
    }

    #[test]
    fn each_names_the_parameter_and_the_value_in_its_way() {
        let slots = "Run this, then restart PostgreSQL:\nALTER SYSTEM SET max_replication_slots = 11;\nOr drop one:\n\
                     SELECT pg_drop_replication_slot('old');";
        assert_eq!(
            of(SourceKind::Rds, slots),
            "On Amazon RDS: set max_replication_slots = 11 in the instance's parameter group, then reboot the \
             instance.\nOr drop one:\nSELECT pg_drop_replication_slot('old');"
        );
        let cluster = of(SourceKind::CloudNativePg, slots);
        assert!(
            cluster.contains("max_replication_slots: \"11\" under spec.postgresql.parameters"),
            "{cluster}"
        );
        let timeout = "ALTER SYSTEM SET wal_sender_timeout = '60s';\nSELECT pg_reload_conf();";
        assert_eq!(
            of(SourceKind::CloudSql, timeout),
            "On Cloud SQL: set the database flag wal_sender_timeout = 60000."
        );
        assert_eq!(
            of(SourceKind::Patroni, timeout),
            "On Patroni: patronictl edit-config -s 'postgresql.parameters.wal_sender_timeout=60s'."
        );
        let keep = "ALTER SYSTEM SET max_slot_wal_keep_size = '64GB';";
        assert!(
            of(SourceKind::Aurora, keep).contains("= 65536 in the DB cluster parameter group.")
        );
        // It is read-only there (Azure, "Server parameters", Replication / Sending Servers).
        assert!(of(SourceKind::Azure, keep).contains("cannot be set"));
        assert!(of(SourceKind::Neon, keep).contains("ask the support"));
        assert!(of(SourceKind::Supabase, keep).contains("--config max_slot_wal_keep_size=64GB"));
    }

    #[test]
    fn each_lets_a_role_stream_in_its_way() {
        let repair =
            "ALTER ROLE \"ada\" REPLICATION;\nGRANT CREATE ON DATABASE \"shop\" TO \"ada\";";
        for kind in [SourceKind::Rds, SourceKind::Aurora] {
            let granted = of(kind, repair);
            let expected = "GRANT rds_replication TO \"ada\";\nGRANT CREATE ON DATABASE";
            assert!(granted.starts_with(expected), "{granted}");
        }
        for (kind, expected) in [
            (
                SourceKind::CloudSql,
                "as a member of cloudsqlsuperuser:\nALTER ROLE \"ada\"",
            ),
            (SourceKind::Azure, "as the server's admin:\nALTER ROLE"),
            (SourceKind::Supabase, "as postgres:\nALTER ROLE"),
            (SourceKind::Neon, "made in the console"),
            (SourceKind::CloudNativePg, "spec.managed.roles"),
            (SourceKind::Patroni, "ALTER ROLE \"ada\" REPLICATION;"),
        ] {
            let granted = of(kind, repair);
            assert!(granted.contains(expected), "{granted}");
        }
    }

    #[test]
    fn nobody_is_sent_to_files_or_superusers_that_there_are_not() {
        let line = "Add to pg_hba.conf, above any line that rejects it:\nhost shop ada 10.0.0.5/32 scram-sha-256\nThen \
                    run:\nSELECT pg_reload_conf();";
        let publish = "Or, in the place of that membership, as a superuser:\nCREATE PUBLICATION p;";
        let switch_on = "Switch TLS on at the server.\nopenssl req\nchmod 600 server.key\nThen run:\nALTER SYSTEM SET ssl \
                         = on;\nSELECT pg_reload_conf();\nOr set at the source:\nsslmode = disable";
        for provider in providers() {
            let (told, has_files) = (at(provider, line), has_files(provider.0));
            let may_add = matches!(provider.0, SourceKind::Patroni | SourceKind::CloudNativePg);
            assert_eq!(told.contains("- host shop ada"), may_add, "{told}");
            assert!(
                !told.contains("pg_hba.conf") && !told.contains("Then run"),
                "{told}"
            );
            let told = at(provider, publish);
            let has_superuser = administrator(provider.0).is_none();
            assert_eq!(told.contains("as a superuser:"), has_superuser, "{told}");
            assert!(told.ends_with("CREATE PUBLICATION p;"), "{told}");
            let told = at(provider, switch_on);
            assert_eq!(told.contains("openssl"), has_files, "{told}");
            assert!(told.ends_with("sslmode = disable"), "{told}");
        }
        let told = of(SourceKind::Azure, publish);
        assert!(told.contains("as a member of azure_pg_admin:"), "{told}");
    }
}
