//! Configuration from environment and file, with all problems at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use rowcast_domain::Secret;

/// Reads settings and notes what is wrong with them.
///
/// A setting `nats_url` is the environment variable `ROWCAST_NATS_URL`, or else the key `nats_url`
/// of the TOML file that `ROWCAST_CONFIG` names. A secret may also stand in a file of its own, named
/// by `ROWCAST_<KEY>_FILE`.
#[derive(Debug)]
pub struct Settings {
    environment: BTreeMap<String, String>,
    file: BTreeMap<String, String>,
    known: BTreeSet<String>,
    problems: Vec<String>,
}

/// The configuration cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct SettingsError {
    problems: Vec<String>,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the configuration has {} problem(s):",
            self.problems.len()
        )?;
        for problem in &self.problems {
            write!(f, "\n  - {problem}")?;
        }
        Ok(())
    }
}

impl Settings {
    /// Takes the process's environment, and the file that it names.
    #[must_use]
    pub fn from_process() -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self::from_environment(environment)
    }

    /// Takes these variables, and the file that they name.
    #[must_use]
    pub fn from_environment(environment: BTreeMap<String, String>) -> Self {
        let known = BTreeSet::new();
        let mut settings = Self {
            environment,
            file: BTreeMap::new(),
            known,
            problems: Vec::new(),
        };
        if let Some(path) = settings.environment.get("ROWCAST_CONFIG").cloned() {
            match read_file(Path::new(&path)) {
                Ok(file) => settings.file = file,
                Err(problem) => settings.problems.push(format!("ROWCAST_CONFIG: {problem}")),
            }
        }
        settings
    }

    /// A setting that must be given.
    pub fn required<T>(&mut self, key: &str) -> Option<T>
    where
        T: FromStr<Err: fmt::Display>,
    {
        let value = self.maybe(key)?;
        if value.is_none() {
            self.problem(key, "is not set");
        }
        value
    }

    /// A setting with a default.
    pub fn optional<T>(&mut self, key: &str, default: T) -> Option<T>
    where
        T: FromStr<Err: fmt::Display>,
    {
        Some(self.maybe(key)?.unwrap_or(default))
    }

    /// A setting that may be absent. The outer `None` is a problem that was noted.
    #[expect(
        clippy::option_option,
        reason = "noted problem, absent, and present are three things"
    )]
    pub fn maybe<T>(&mut self, key: &str) -> Option<Option<T>>
    where
        T: FromStr<Err: fmt::Display>,
    {
        let Some(text) = self.text(key) else {
            return Some(None);
        };
        match text.parse() {
            Ok(value) => Some(Some(value)),
            Err(error) => {
                self.problem(key, &format!("is malformed: {error}"));
                None
            }
        }
    }

    /// A secret that must be given, as a value or by a file.
    pub fn secret(&mut self, key: &str) -> Option<Secret> {
        let file_key = format!("{key}_file");
        let path = self.text(&file_key);
        let secret = match path {
            Some(path) => match std::fs::read_to_string(&path) {
                Ok(text) => Secret::new(text.trim_end_matches(['\r', '\n'])),
                Err(error) => {
                    self.problem(
                        &file_key,
                        &format!("names {path}, which cannot be read: {error}"),
                    );
                    return None;
                }
            },
            None => match self.text(key) {
                Some(text) => Secret::new(text),
                None => {
                    self.problem(key, &format!("is not set, nor is {}", variable(&file_key)));
                    return None;
                }
            },
        };
        if secret.expose().is_empty() {
            self.problem(key, "is empty");
            return None;
        }
        Some(secret)
    }

    /// A secret that may be absent. The outer `None` is a problem that was noted.
    #[expect(
        clippy::option_option,
        reason = "noted problem, absent, and present are three things"
    )]
    pub fn maybe_secret(&mut self, key: &str) -> Option<Option<Secret>> {
        if self.text(key).is_none() && self.text(&format!("{key}_file")).is_none() {
            return Some(None);
        }
        self.secret(key).map(Some)
    }

    /// Notes a problem with a setting, as of a value that does not fit another.
    pub fn problem(&mut self, key: &str, text: &str) {
        self.problems.push(format!("{} {text}", variable(key)));
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// All problems noted, and keys of the file that no setting has.
    pub fn finish<C>(mut self, config: Option<C>) -> Result<C, SettingsError> {
        for key in self.file.keys().filter(|key| !self.known.contains(*key)) {
            self.problems.push(format!(
                "the file's key {key:?} is no setting of this service"
            ));
        }
        match config {
            Some(config) if self.problems.is_empty() => Ok(config),
            Some(_) | None => Err(SettingsError {
                problems: self.problems,
            }),
        }
    }

    fn text(&mut self, key: &str) -> Option<String> {
        self.known.insert(key.to_owned());
        let value = self
            .environment
            .get(&variable(key))
            .or_else(|| self.file.get(key));
        value.filter(|value| !value.is_empty()).cloned()
    }

    /// A variable that is not ours and keeps its standard name, as those of OpenTelemetry.
    pub(crate) fn foreign(&self, name: &str) -> Option<String> {
        self.environment
            .get(name)
            .filter(|value| !value.is_empty())
            .cloned()
    }
}

fn variable(key: &str) -> String {
    format!("ROWCAST_{}", key.to_ascii_uppercase())
}

fn read_file(path: &Path) -> Result<BTreeMap<String, String>, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let table: toml::Table = text
        .parse()
        .map_err(|error| format!("{} is no TOML: {error}", path.display()))?;
    table
        .into_iter()
        .map(|(key, value)| match value {
            toml::Value::String(text) => Ok((key, text)),
            toml::Value::Integer(number) => Ok((key, number.to_string())),
            toml::Value::Float(number) => Ok((key, number.to_string())),
            toml::Value::Boolean(flag) => Ok((key, flag.to_string())),
            toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => {
                Err(format!(
                    "{}: {key} must be a text, number or boolean",
                    path.display()
                ))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let mut settings = Settings::from_environment(environment(&[("ROWCAST_PORT", "x")]));
        let port = settings.required::<u16>("port");
        let url = settings.required::<String>("url");
        let password = settings.secret("password");
        let config = (|| Some((port?, url?, password?)))();
        let error = settings.finish(config).unwrap_err();
        assert_eq!(error.problems.len(), 3, "{error}");
        assert!(
            error.to_string().contains("ROWCAST_PORT is malformed"),
            "{error}"
        );
        assert!(
            error.to_string().contains("ROWCAST_PASSWORD_FILE"),
            "{error}"
        );
    }

    #[test]
    fn environment_wins_over_the_file_and_unknown_keys_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("service.toml");
        std::fs::write(&path, "port = 1\nname = \"from file\"\ntypo = true\n").unwrap();
        let path = path.to_str().unwrap();
        let pairs = [("ROWCAST_CONFIG", path), ("ROWCAST_PORT", "2")];
        let mut settings = Settings::from_environment(environment(&pairs));
        assert_eq!(settings.required::<u16>("port"), Some(2));
        assert_eq!(
            settings.required::<String>("name").as_deref(),
            Some("from file")
        );
        let error = settings.finish(Some(())).unwrap_err();
        assert!(error.to_string().contains("\"typo\""), "{error}");
    }

    #[test]
    fn a_secret_comes_from_its_file_without_the_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "hunter2\n").unwrap();
        let pairs = [("ROWCAST_PASSWORD_FILE", path.to_str().unwrap())];
        let mut settings = Settings::from_environment(environment(&pairs));
        assert_eq!(settings.secret("password").unwrap().expose(), "hunter2");
    }
}
