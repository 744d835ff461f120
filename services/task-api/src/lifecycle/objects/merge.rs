//! Objects that come and go, joined with those that a task has. Pure.

use rowcast_proto::rest::{ChangeObjects, Objects, SchemaObjects};

use crate::error::ApiError;
use crate::validate::{self, Issue};

/// The objects after the change.
///
/// # Errors
/// Where the change contradicts itself or the present objects, or would leave nothing.
pub(super) fn changed(present: &Objects, wanted: &ChangeObjects) -> Result<Objects, ApiError> {
    let is_step = wanted.add.is_some() || wanted.remove.is_some();
    for (name, part) in [("remove", &wanted.remove), ("add", &wanted.add)] {
        if let Some(part) = part {
            validate::objects_at(Some(name), part)?;
        }
    }
    let next = match (&wanted.replace, is_step) {
        (Some(replacement), false) => replacement.clone(),
        (None, true) => stepped(present, wanted)?,
        (Some(_), true) => {
            let repair = "Give the replacement alone, or what comes and goes.";
            return refused("replace", "stands beside add or remove", repair);
        }
        (None, false) => {
            let repair = "Give replace, or add, or remove.";
            return refused("add", "nothing is to be changed", repair);
        }
    };
    validate::replaced_objects(&next)?;
    Ok(next)
}

fn stepped(present: &Objects, wanted: &ChangeObjects) -> Result<Objects, ApiError> {
    let mut next = present.clone();
    let mut issues = Vec::new();
    if let Some(objects) = &wanted.remove {
        remove(&mut next, objects, &mut issues);
    }
    if !issues.is_empty() {
        return Err(ApiError::Invalid(issues));
    }
    if let Some(objects) = &wanted.add {
        add(&mut next, objects);
    }
    if !next.all && next.schemas.is_empty() && next.schema_patterns.is_empty() {
        let repair = "Leave something, or suspend or release the task.";
        return refused("remove", "the task would track nothing", repair);
    }
    Ok(next)
}

fn refused<T>(field: &str, detail: &str, repair: &str) -> Result<T, ApiError> {
    Err(ApiError::Invalid(vec![issue(field, detail, repair)]))
}

fn issue(field: &str, detail: &str, repair: &str) -> Issue {
    Issue {
        field: field.to_owned(),
        detail: detail.to_owned(),
        repair: repair.to_owned(),
    }
}

fn remove(next: &mut Objects, objects: &Objects, issues: &mut Vec<Issue>) {
    if next.all || objects.all {
        let detail = "of a task that tracks all tables, or all of a task, nothing can be removed";
        issues.push(issue(
            "remove",
            detail,
            "Give replace with what is to be tracked.",
        ));
        return;
    }
    for pattern in &objects.schema_patterns {
        take(
            &mut next.schema_patterns,
            pattern,
            "remove.schema_patterns",
            issues,
        );
    }
    for (index, schema) in objects.schemas.iter().enumerate() {
        let field = format!("remove.schemas[{index}]");
        let found = next
            .schemas
            .iter_mut()
            .find(|known| known.name == schema.name);
        let Some(known) = found else {
            issues.push(not_tracked(&field, &schema.name));
            continue;
        };
        if schema.all {
            *known = SchemaObjects::default();
        } else if known.all {
            let detail = format!("the schema {} is tracked as a whole", schema.name);
            let repair = "Give replace with the tables that are to be tracked.";
            issues.push(issue(&field, &detail, repair));
        } else {
            for table in &schema.tables {
                take(&mut known.tables, table, &format!("{field}.tables"), issues);
            }
            for pattern in &schema.patterns {
                take(
                    &mut known.patterns,
                    pattern,
                    &format!("{field}.patterns"),
                    issues,
                );
            }
        }
    }
    next.schemas
        .retain(|schema| schema.all || !schema.tables.is_empty() || !schema.patterns.is_empty());
}

fn take(names: &mut Vec<String>, name: &str, field: &str, issues: &mut Vec<Issue>) {
    match names.iter().position(|known| known == name) {
        Some(place) => {
            names.remove(place);
        }
        None => issues.push(not_tracked(field, name)),
    }
}

fn not_tracked(field: &str, name: &str) -> Issue {
    let detail = format!("{name} is not tracked by this name");
    issue(field, &detail, "See the task's objects, or leave it out.")
}

fn add(next: &mut Objects, objects: &Objects) {
    if next.all || objects.all {
        *next = Objects {
            all: true,
            ..Objects::default()
        };
        return;
    }
    join(&mut next.schema_patterns, &objects.schema_patterns);
    for schema in &objects.schemas {
        let found = next
            .schemas
            .iter_mut()
            .find(|known| known.name == schema.name);
        match found {
            None => next.schemas.push(schema.clone()),
            // It holds them already.
            Some(known) if known.all => {}
            Some(known) if schema.all => *known = schema.clone(),
            Some(known) => {
                join(&mut known.tables, &schema.tables);
                join(&mut known.patterns, &schema.patterns);
            }
        }
    }
}

fn join(names: &mut Vec<String>, more: &[String]) {
    for name in more {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn after(present: Value, change: Value) -> Result<Value, String> {
        let present = serde_json::from_value(present).unwrap();
        let change = serde_json::from_value(change).unwrap();
        match changed(&present, &change) {
            Ok(objects) => Ok(serde_json::to_value(objects).unwrap()),
            Err(ApiError::Invalid(issues)) => Err(issues[0].field.clone()),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn tables(names: &[&str]) -> Value {
        json!({"schemas": [{"name": "shop", "tables": names}]})
    }

    fn whole() -> Value {
        json!({"schemas": [{"name": "shop", "all": true}]})
    }

    #[test]
    fn what_comes_and_goes_is_joined_with_what_is_there() {
        let both = json!({"remove": tables(&["a"]), "add": tables(&["b", "c"])});
        let next = after(tables(&["a", "b"]), both).unwrap();
        assert_eq!(next["schemas"][0]["tables"], json!(["b", "c"]));
        let next = after(tables(&["a"]), json!({"add": whole()})).unwrap();
        assert_eq!(
            next["schemas"],
            json!([{"name": "shop", "all": true, "tables": []}])
        );
        let next = after(whole(), json!({"add": tables(&["a"])})).unwrap();
        assert_eq!(next["schemas"][0]["tables"], json!([]));
        let next = after(whole(), json!({"add": {"all": true}})).unwrap();
        assert_eq!(
            (next["all"].clone(), next["schemas"].clone()),
            (json!(true), json!([]))
        );
        let next = after(
            json!({"schemas": [{"name": "shop", "tables": ["a"]}], "schema_patterns": ["t_*"]}),
            json!({"remove": whole()}),
        );
        assert_eq!(next.unwrap()["schema_patterns"], json!(["t_*"]));
        let next = after(whole(), json!({"replace": tables(&["x"])})).unwrap();
        assert_eq!(next["schemas"][0]["tables"], json!(["x"]));
    }

    #[test]
    fn what_cannot_be_meant_names_its_field() {
        for (present, change, field) in [
            (tables(&["a"]), json!({}), "add"),
            (
                tables(&["a"]),
                json!({"replace": whole(), "add": whole()}),
                "replace",
            ),
            (tables(&["a"]), json!({"remove": tables(&["a"])}), "remove"),
            (
                tables(&["a"]),
                json!({"remove": tables(&["b"])}),
                "remove.schemas[0].tables",
            ),
            (
                whole(),
                json!({"remove": tables(&["a"])}),
                "remove.schemas[0]",
            ),
            (
                json!({"all": true}),
                json!({"remove": tables(&["a"])}),
                "remove",
            ),
            (
                tables(&["a"]),
                json!({"remove": {"schema_patterns": ["t_*"]}}),
                "remove.schema_patterns",
            ),
            (tables(&["a"]), json!({"add": {}}), "add"),
            (
                tables(&["a"]),
                json!({"add": {"schemas": [{"name": "crm"}]}}),
                "add.schemas[0]",
            ),
        ] {
            assert_eq!(
                after(present, change.clone()),
                Err(field.to_owned()),
                "{change}"
            );
        }
    }
}
