//! The key and the values of a change, as far as they fit.

use rowcast_client::{Change, Operation, Row};
use serde_json::Value;

/// Characters of one value that are shown.
const VALUE_CHARACTERS: usize = 28;

/// Characters of all values of one change that are shown.
const LINE_CHARACTERS: usize = 110;

/// `id=4`: the row's key.
pub(super) fn key(change: &Change) -> String {
    change.key.as_ref().map_or_else(String::new, |key| {
        let pairs: Vec<String> = key
            .iter()
            .map(|(name, value)| format!("{name}={}", shown(value)))
            .collect();
        pairs.join(" ")
    })
}

/// What a reader wants to know of the values.
pub(super) fn values(change: &Change) -> String {
    let text = match change.op {
        Operation::Insert => inserted(change),
        Operation::Update => updated(change),
        Operation::Delete => deleted(change),
        Operation::Schema => shape(change),
        Operation::Ddl => command(change),
        Operation::Message => message(change),
        Operation::Gap => gap(change),
        Operation::Part => piece(change),
        Operation::Truncate
        | Operation::Begin
        | Operation::Commit
        | Operation::Heartbeat
        | Operation::Pack
        | Operation::Unknown => String::new(),
    };
    shortened(&text, LINE_CHARACTERS)
}

fn inserted(change: &Change) -> String {
    change
        .after
        .as_ref()
        .map_or_else(String::new, |after| pairs(change, after))
}

/// Old and new where the old row is known, else all of the new row.
fn updated(change: &Change) -> String {
    let Some(after) = &change.after else {
        return String::new();
    };
    let Some(before) = &change.before else {
        return pairs(change, after);
    };
    let differing: Vec<String> = after
        .iter()
        .filter_map(|(name, new)| {
            let old = before.get(name)?;
            (old != new).then(|| difference(name, old, new))
        })
        .collect();
    differing.join(" ")
}

/// Of documents, the members that differ: their beginnings mostly do not.
fn difference(name: &str, old: &Value, new: &Value) -> String {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return format!("{name}={}→{}", shown(old), shown(new));
    };
    let members: Vec<String> = new
        .iter()
        .filter(|(member, value)| old.get(*member) != Some(*value))
        .map(|(member, value)| {
            let old = old.get(member).unwrap_or(&Value::Null);
            format!("{name}.{member}={}→{}", shown(old), shown(value))
        })
        .chain(
            old.keys()
                .filter(|member| !new.contains_key(*member))
                .map(|member| format!("{name}.{member} removed")),
        )
        .collect();
    members.join(" ")
}

fn deleted(change: &Change) -> String {
    change
        .before
        .as_ref()
        .map_or_else(String::new, |before| pairs(change, before))
}

fn shape(change: &Change) -> String {
    change
        .definition
        .as_ref()
        .map_or_else(String::new, |table| {
            let columns: Vec<String> = table
                .columns
                .iter()
                .map(|column| format!("{}:{}", column.name, column.type_name))
                .collect();
            columns.join(" ")
        })
}

/// What was submitted. Where that is more than the command, the command and its object come first.
fn command(change: &Change) -> String {
    change.ddl.as_ref().map_or_else(String::new, |ddl| {
        let text = one_line(&ddl.text);
        let begins = text.get(..ddl.command.len());
        let rewritten = if ddl.rewritten {
            "(rewrites the table) "
        } else {
            ""
        };
        if begins.is_some_and(|begins| begins.eq_ignore_ascii_case(&ddl.command)) {
            format!("{rewritten}{text}")
        } else {
            format!("{rewritten}{} {}: {text}", ddl.command, ddl.object)
        }
    })
}

fn message(change: &Change) -> String {
    change.message.as_ref().map_or_else(String::new, |message| {
        let prefix = one_line(&message.prefix);
        match (&message.text, &message.base64) {
            (Some(text), _) => format!("{prefix}: {}", one_line(text)),
            (None, Some(base64)) => format!("{prefix}: {base64} (base64)"),
            (None, None) => prefix,
        }
    })
}

fn gap(change: &Change) -> String {
    change.gap.as_ref().map_or_else(String::new, |gap| {
        format!(
            "changes from {} to {} are missing: {}",
            gap.from,
            gap.to,
            one_line(&gap.cause)
        )
    })
}

/// The subscription joins pieces, so none is seen unless that changes.
fn piece(change: &Change) -> String {
    change.part.as_ref().map_or_else(String::new, |part| {
        format!("from byte {} of {}", part.offset, part.bytes)
    })
}

/// Without the key, which stands before.
fn pairs(change: &Change, row: &Row) -> String {
    let in_key = |name: &String| {
        change
            .key
            .as_ref()
            .is_some_and(|key| key.contains_key(name))
    };
    let pairs: Vec<String> = row
        .iter()
        .filter(|(name, value)| !in_key(name) && !value.is_null())
        .map(|(name, value)| format!("{name}={}", shown(value)))
        .collect();
    pairs.join(" ")
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    };
    // A value must not move the cursor or start a new line.
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    shortened(&text, VALUE_CHARACTERS)
}

/// Text of people, whose lines and indents are of no account here.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

fn shortened(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let kept: String = text.chars().take(limit.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(op: &str, more: &Value) -> Change {
        let mut body = json!({
            "id": "0/10.1", "op": op, "database": "shop", "schema": "shop", "table": "orders",
            "lsn": "0/10", "ordinal": 1, "committed_at": "2026-11-23T05:33:10.123456Z",
            "key": {"id": 7}
        });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn the_key_is_told_once() {
        let inserted = change(
            "insert",
            &json!({"after": {"id": 7, "total": "9.50", "note": null}}),
        );
        assert_eq!(key(&inserted), "id=7");
        assert_eq!(values(&inserted), "total=9.50");
    }

    #[test]
    fn an_update_shows_old_and_new_where_the_old_is_known() {
        let rows = json!({
            "before": {"id": 7, "status": "new", "total": "9.50"},
            "after": {"id": 7, "status": "paid", "total": "9.50"}
        });
        assert_eq!(values(&change("update", &rows)), "status=new→paid");
        let after = json!({"after": {"id": 7, "status": "paid"}});
        assert_eq!(values(&change("update", &after)), "status=paid");
    }

    #[test]
    fn of_documents_only_the_members_that_differ_are_shown() {
        let rows = json!({
            "before": {"id": 7, "more": {"a": 1, "b": 2, "c": 3}},
            "after": {"id": 7, "more": {"a": 1, "b": 4}}
        });
        let text = values(&change("update", &rows));
        assert_eq!(text, "more.b=2→4 more.c removed");
    }

    #[test]
    fn long_and_strange_values_stay_on_the_line() {
        let long = "ü".repeat(40);
        let text = values(&change(
            "insert",
            &json!({"after": {"a": long, "b": "x\n\u{1b}y"}}),
        ));
        assert!(text.contains("…"), "{text}");
        assert!(text.ends_with("b=x  y"), "{text}");
    }

    fn ddl(text: &str, rewritten: bool) -> Change {
        let ddl = json!({
            "command": "ALTER TABLE", "object_type": "table", "object": "shop.orders",
            "text": text, "user": "owner", "rewritten": rewritten
        });
        change("ddl", &json!({"key": null, "ddl": ddl}))
    }

    #[test]
    fn a_schema_change_shows_what_was_submitted() {
        let alone = ddl("alter table shop.orders\n    ADD COLUMN note text", false);
        assert_eq!(
            values(&alone),
            "alter table shop.orders ADD COLUMN note text"
        );
        let inside = ddl("SELECT migrate()", true);
        assert_eq!(
            values(&inside),
            "(rewrites the table) ALTER TABLE shop.orders: SELECT migrate()"
        );
    }

    #[test]
    fn messages_and_gaps_are_told_in_words() {
        let message = json!({"message": {
            "prefix": "till", "transactional": true, "text": "closed\n\u{1b}[2J"
        }});
        assert_eq!(values(&change("message", &message)), "till: closed [2J");
        let binary = json!({"message": {
            "prefix": "till", "transactional": false, "base64": "/wA="
        }});
        assert_eq!(values(&change("message", &binary)), "till: /wA= (base64)");
        let gap = json!({"gap": {
            "code": "Gap", "cause": "the slot is gone", "from": "0/10", "to": "0/20"
        }});
        assert_eq!(
            values(&change("gap", &gap)),
            "changes from 0/10 to 0/20 are missing: the slot is gone"
        );
    }
}
