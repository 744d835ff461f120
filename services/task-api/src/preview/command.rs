//! `rowcast task create`, as a shell reads it.

use rowcast_proto::rest::{
    Alerting, ChangeTypes, CreateTask, DataChange, Etl, Objects, Packing, Retention,
    default_partitions, default_retry_minutes,
};

use crate::error::ApiError;

/// One line, without what is a default; `own` is the file with the task's own source, which the line reads as it is
/// written out behind.
pub(super) fn create_task(body: &CreateTask, own: Option<&str>) -> Result<String, ApiError> {
    let CreateTask {
        name,
        source_id,
        source: _,
        database,
        objects,
        change_types,
        retry_minutes,
        retention,
        partitions,
        transactions,
        packing,
        format,
        etl,
        alerting,
        network,
        tags,
        resource_group,
    } = body;
    let source = source_id.iter().map(|id| format!("--source={id}"));
    let mut options: Vec<String> = source.collect();
    options.extend(own.map(|_file| "--own-source=-".to_owned()));
    options.extend(database.iter().map(|name| format!("--database={name}")));
    match named(objects) {
        Some(said) => options.extend(said),
        None => {
            let json = serde_json::to_string(objects).map_err(super::unwritten)?;
            options.push(format!("--objects={json}"));
        }
    }
    options.extend(changes(change_types));
    if *retry_minutes != default_retry_minutes() {
        options.push(format!("--retry-minutes={retry_minutes}"));
    }
    if retention.hours != Retention::default().hours {
        options.push(format!("--retention-hours={}", retention.hours));
    }
    let bytes = retention.max_bytes.iter();
    options.extend(bytes.map(|bytes| format!("--retention-bytes={bytes}")));
    if *packing == Packing::Transaction {
        options.push("--pack".to_owned());
    }
    if !format.is_json() {
        options.push(format!("--format={}", format.as_str()));
    }
    options.extend(etl.iter().flat_map(policy));
    options.extend(alerting.iter().flat_map(alerts));
    options.extend(network.iter().map(|name| format!("--network={name}")));
    let number = partitions.filter(|&number| number != default_partitions(*packing));
    options.extend(number.map(|number| format!("--partitions={number}")));
    if *transactions {
        options.push("--transactions".to_owned());
    }
    options.extend(
        tags.iter()
            .map(|(key, value)| format!("--tag={key}={value}")),
    );
    let group = resource_group.iter();
    options.extend(group.map(|name| format!("--resource-group={name}")));
    // Behind `--` a name may begin with a dash.
    options.extend(["--".to_owned(), name.clone()]);
    let words: Vec<String> = options.iter().map(|word| quoted(word)).collect();
    let line = format!("rowcast task create {}", words.join(" "));
    Ok(match own {
        // A quoted here-document needs no escapes, and no line of YAML is its end.
        Some(file) => format!("{line} <<'YAML'\n{file}YAML\n"),
        None => format!("{line}\n"),
    })
}

/// The options that name these objects; `None` where the command would read others in them: it parts a
/// schema from a table at the first dot, and tells a pattern from a name by its signs.
fn named(objects: &Objects) -> Option<Vec<String>> {
    if objects.all {
        return Some(vec!["--all".to_owned()]);
    }
    let is_pattern = |name: &str| name.contains(['*', '?']);
    let mut options = Vec::new();
    for schema in &objects.schemas {
        let listed = schema.tables.len() + schema.patterns.len();
        let is_parted = listed > 0 && schema.name.contains('.');
        if is_pattern(&schema.name)
            || is_parted
            || schema.tables.iter().any(|name| is_pattern(name))
        {
            return None;
        }
        options.extend(schema.all.then(|| format!("--schema={}", schema.name)));
        let names = schema.tables.iter().chain(&schema.patterns);
        options.extend(names.map(|name| format!("--table={}.{name}", schema.name)));
    }
    let patterns = objects.schema_patterns.iter();
    options.extend(patterns.map(|pattern| format!("--schema={pattern}")));
    Some(options)
}

fn policy(etl: &Etl) -> Vec<String> {
    // At its beginning `@` would name a file.
    let blank = if etl.script.starts_with('@') { " " } else { "" };
    let mut options = vec![format!("--etl={blank}{}", etl.script)];
    if !etl.on_error.is_park() {
        options.push(format!("--etl-on-error={}", etl.on_error.as_str()));
    }
    options
}

fn alerts(alerting: &Alerting) -> Vec<String> {
    let contacts = alerting.contacts.iter();
    let contacts = contacts.map(|id| format!("--alert-contact={id}"));
    let delay = alerting.delay_seconds.iter();
    let delay = delay.map(|seconds| format!("--alert-delay={seconds}"));
    delay.chain(contacts).collect()
}

fn changes(types: &ChangeTypes) -> Vec<String> {
    let mut options = Vec::new();
    if types.data.is_empty() {
        options.push("--no-row-changes".to_owned());
    } else if DataChange::ALL
        .iter()
        .any(|kind| !types.data.contains(kind))
    {
        let kinds: Vec<&str> = types.data.iter().map(|kind| kind.as_str()).collect();
        options.push(format!("--changes={}", kinds.join(",")));
    }
    if types.schema {
        options.push("--schema-changes".to_owned());
    }
    options
}

/// As one word of a POSIX shell (Shell Command Language, 2.2.2).
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=.,:/@+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(members: &str) -> String {
        let text = format!(r#"{{"name": "orders", "source_id": "s000000000001", {members}}}"#);
        let body = serde_json::from_str(&text).unwrap();
        let line = create_task(&body, None).unwrap();
        let start = "rowcast task create --source=s000000000001 ";
        line.strip_prefix(start).unwrap().trim_end().to_owned()
    }

    #[test]
    fn defaults_are_left_out_and_words_are_quoted() {
        assert_eq!(line(r#""objects": {"all": true}"#), "--all -- orders");
        let objects = r#""objects": {"schemas": [
            {"name": "public", "tables": ["it's"], "patterns": ["log_*"]}, {"name": "a.b", "all": true}
        ], "schema_patterns": ["t?"]}"#;
        assert_eq!(
            line(objects),
            r"'--table=public.it'\''s' '--table=public.log_*' --schema=a.b '--schema=t?' -- orders"
        );
        let rest = r#""objects": {"all": true}, "change_types": {"data": [], "schema": true},
            "retention": {"hours": 24, "max_bytes": 1048576}, "packing": "transaction", "format": "protobuf",
            "alerting": {"delay_seconds": 60, "contacts": ["a00000000000a"]}, "network": "public"#;
        assert_eq!(
            line(&format!("{rest}\"")),
            "--all --no-row-changes --schema-changes --retention-bytes=1048576 --pack --format=protobuf --alert-delay=60 --alert-contact=a00000000000a --network=public -- orders"
        );
    }

    #[test]
    fn what_options_cannot_name_is_said_in_json() {
        for schema in [
            r#"{"name": "a.b", "tables": ["t"]}"#,
            r#"{"name": "a", "tables": ["what?"]}"#,
            r#"{"name": "a*", "all": true}"#,
        ] {
            let said = line(&format!(r#""objects": {{"schemas": [{schema}]}}"#));
            assert!(said.starts_with("'--objects={"), "{said}");
        }
    }
}
