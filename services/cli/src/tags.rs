//! Tags, as the command line says them.

use std::collections::BTreeMap;

/// `key=value`.
pub(crate) fn tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| "say key=value, as env=prod".to_owned())?;
    Ok((key.to_owned(), value.to_owned()))
}

/// One line: `env=prod, team=crm`.
pub(crate) fn in_words(tags: &BTreeMap<String, String>) -> String {
    let words: Vec<String> = tags
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    words.join(", ")
}

/// The tags with some given and some taken away; `None` where neither is asked for.
pub(crate) fn changed(
    there: &BTreeMap<String, String>,
    given: &[(String, String)],
    taken: &[String],
) -> Option<BTreeMap<String, String>> {
    if given.is_empty() && taken.is_empty() {
        return None;
    }
    let mut tags = there.clone();
    tags.retain(|key, _value| !taken.contains(key));
    tags.extend(given.iter().cloned());
    Some(tags)
}
