//! `contexts.toml`: platforms that the user has named, with their tokens.
//!
//! For its owner only. A file that others may read is refused, for the tokens in it are known.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::failure::{Exit, Failure};

/// Permissions of group and others.
const FOREIGN_PERMISSIONS: u32 = 0o077;

/// Everything in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The one that commands use; that of the state folder's platform where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// By name.
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, NamedContext>,
}

/// A platform and its token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamedContext {
    /// Scheme, host and port of the REST API.
    pub(crate) api_url: String,
    /// The admin token.
    pub(crate) token: String,
}

impl std::fmt::Debug for NamedContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ***", self.api_url)
    }
}

/// Where the file is: `ROWCAST_CONTEXTS`, or `rowcast/contexts.toml` in the user's configuration folder.
pub(crate) fn path() -> anyhow::Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(file) = variable("ROWCAST_CONTEXTS") {
        return Ok(file.into());
    }
    let folder = variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".config")));
    match folder {
        Some(folder) => Ok(folder.join("rowcast/contexts.toml")),
        None => bail!("contexts have no folder: set HOME, or name their file by ROWCAST_CONTEXTS"),
    }
}

impl Contexts {
    /// What the file holds; nothing where there is none.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let mode = std::fs::metadata(path)
            .with_context(|| format!("cannot look at {}", path.display()))?
            .mode();
        if mode & FOREIGN_PERMISSIONS != 0 {
            bail!(
                "{} holds tokens and others may read it: run `chmod 600 {0}`",
                path.display()
            );
        }
        toml::from_str(&text).with_context(|| format!("{} is malformed", path.display()))
    }

    /// The context of this name.
    pub(crate) fn get(&self, name: &str) -> anyhow::Result<&NamedContext> {
        self.contexts.get(name).ok_or_else(|| {
            let sentence = format!("there is no context {name:?}: see `rowcast context list`");
            Failure::of(Exit::NotFound, sentence)
        })
    }

    /// Written whole or not at all.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = toml::to_string(self).context("cannot write contexts as TOML")?;
        let fresh = path.with_extension("toml.new");
        let write = || -> std::io::Result<()> {
            if let Some(folder) = path.parent() {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(folder)?;
            }
            match std::fs::remove_file(&fresh) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            // A new file: one that somebody has left there keeps its permissions.
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&fresh)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&fresh, path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_was_written_is_read_and_is_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rowcast/contexts.toml");
        assert_eq!(Contexts::read(&path).unwrap(), Contexts::default());
        let mut contexts = Contexts::default();
        let office = NamedContext {
            api_url: "http://office:8080".to_owned(),
            token: "secret".to_owned(),
        };
        assert!(!format!("{office:?}").contains("secret"));
        contexts.contexts.insert("office".to_owned(), office);
        contexts.current = Some("office".to_owned());
        contexts.write(&path).unwrap();
        contexts.write(&path).unwrap();
        assert_eq!(Contexts::read(&path).unwrap(), contexts);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let refused = Contexts::read(&path).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
    }
}
