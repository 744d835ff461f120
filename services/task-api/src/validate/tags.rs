//! Tags and resource groups of tasks and sources.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::Issues;

const TAGS_MAX: usize = 20;
const KEY_CHARACTERS: RangeInclusive<usize> = 1..=64;
const VALUE_CHARACTERS_MAX: usize = 128;

/// A filter writes tags as `key=value,key=value`, so neither sign is one of these.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || "_.:/-".contains(c)
}

pub(super) fn tags(issues: &mut Issues, tags: &BTreeMap<String, String>) {
    if tags.len() > TAGS_MAX {
        let detail = format!("has {} tags, but may have {TAGS_MAX}", tags.len());
        issues.note("tags", detail, "Leave some out.");
    }
    for (key, value) in tags {
        let field = format!("tags.{key}");
        if !KEY_CHARACTERS.contains(&key.chars().count()) || !key.chars().all(is_plain) {
            let detail = "the key must have 1 to 64 letters, digits or signs of `_.:/-`";
            issues.note(&field, detail, "Give another key.");
        }
        let is_allowed = |c: char| is_plain(c) || " +@".contains(c);
        let is_padded = value.trim() != value;
        if value.chars().count() > VALUE_CHARACTERS_MAX
            || is_padded
            || !value.chars().all(is_allowed)
        {
            let detail = "must have at most 128 letters, digits, spaces or signs of `_.:/-+@`, \
                          with no space at its ends";
            issues.note(&field, detail, "Give another value.");
        }
    }
}

/// An empty one takes it out of its group, where `may_be_empty`.
pub(super) fn resource_group(issues: &mut Issues, name: &str, may_be_empty: bool) {
    if !(may_be_empty && name.is_empty()) {
        issues.name("resource_group", name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(given: &[(&str, &str)]) -> Vec<String> {
        let given = given
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let mut issues = Issues::default();
        tags(&mut issues, &given.collect());
        issues.0.into_iter().map(|issue| issue.field).collect()
    }

    #[test]
    fn keys_and_values_can_be_written_in_a_filter() {
        let (key, value) = ("k".repeat(64), "v".repeat(128));
        assert!(fields(&[("env", "prod"), ("équipe/x", ""), (&key, &value)]).is_empty());
        let (long_key, long_value) = ("k".repeat(65), "v".repeat(129));
        for (key, value) in [
            ("", "v"),
            ("a=b", "v"),
            ("a b", "v"),
            (&long_key, "v"),
            ("k", "a,b"),
            ("k", "a=b"),
            ("k", " a"),
            ("k", &long_value),
        ] {
            assert_eq!(fields(&[(key, value)]), [format!("tags.{key}")]);
        }
    }

    #[test]
    fn a_task_has_twenty_tags_at_most() {
        let keys: Vec<String> = (0..21).map(|number| format!("k{number}")).collect();
        let all: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "v")).collect();
        assert!(fields(&all[..20]).is_empty());
        assert_eq!(fields(&all), ["tags"]);
    }
}
