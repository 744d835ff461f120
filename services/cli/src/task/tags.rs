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
