//! Where the engines stand on this machine.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;

/// Older servers lose acknowledged messages on power loss even with `sync_interval: always`.
const OLDEST_NATS: (u32, u32) = (2, 15);

/// Finds nats-server: `ROWCAST_NATS_SERVER`, then `PATH`, then `.tools/nats-server` in the folder we
/// are in or one above it, or in one above our program.
///
/// # Errors
/// Where there is none, or only ones that are too old.
pub fn nats_server() -> Result<PathBuf, Error> {
    let mut too_old = Vec::new();
    let candidates = std::env::var_os("ROWCAST_NATS_SERVER")
        .map(PathBuf::from)
        .into_iter()
        .chain(on_path("nats-server"))
        .chain(tools("nats-server"));
    for candidate in candidates {
        match nats_version(&candidate) {
            Some(version) if version >= OLDEST_NATS => return Ok(candidate),
            Some((major, minor)) => {
                too_old.push(format!("{} is {major}.{minor}", candidate.display()));
            }
            None => too_old.push(format!("{} does not run", candidate.display())),
        }
    }
    let (major, minor) = OLDEST_NATS;
    let mut remedy = format!(
        "put nats-server {major}.{minor} or newer on PATH, or name it by ROWCAST_NATS_SERVER"
    );
    if !too_old.is_empty() {
        remedy = format!("{remedy} ({})", too_old.join(", "));
    }
    Err(Error::Missing {
        program: "nats-server",
        remedy,
    })
}

/// Finds the folder of PostgreSQL's programs: `ROWCAST_PG_BIN`, then `PATH`, then where packages put
/// them, newest first.
///
/// # Errors
/// Where there is none.
pub fn postgres_bin() -> Result<PathBuf, Error> {
    let has_server = |folder: &PathBuf| folder.join("postgres").is_file();
    std::env::var_os("ROWCAST_PG_BIN")
        .map(PathBuf::from)
        .into_iter()
        // The file itself may be a link into the folder where its companions are.
        .chain(
            on_path("postgres")
                .filter_map(|file| Some(std::fs::canonicalize(file).ok()?.parent()?.to_owned())),
        )
        .chain(packaged())
        .find(has_server)
        .ok_or_else(|| Error::Missing {
            program: "PostgreSQL",
            remedy: "install a PostgreSQL server, or name the folder of its programs by \
                     ROWCAST_PG_BIN"
                .to_owned(),
        })
}

/// A program on `PATH`.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    on_path(name).next()
}

fn on_path(name: &str) -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let files: Vec<PathBuf> = std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .filter(|file| file.is_file())
        .collect();
    files.into_iter()
}

fn tools(name: &str) -> Option<PathBuf> {
    let above = |place: PathBuf| {
        place
            .ancestors()
            .map(|folder| folder.join(".tools").join(name))
            .find(|file| file.is_file())
    };
    [std::env::current_dir(), std::env::current_exe()]
        .into_iter()
        .filter_map(Result::ok)
        .find_map(above)
}

/// Debian's `/usr/lib/postgresql/18/bin`, Red Hat's `/usr/pgsql-18/bin`, Homebrew's.
fn packaged() -> impl Iterator<Item = PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = [
        ("/usr/lib/postgresql", ""),
        ("/usr", "pgsql-"),
        ("/opt/homebrew/opt", "postgresql@"),
        ("/usr/local/opt", "postgresql@"),
    ]
    .into_iter()
    .flat_map(|(folder, prefix)| versions(Path::new(folder), prefix))
    .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, folder)| folder.join("bin"))
}

fn versions(folder: &Path, prefix: &str) -> Vec<(u32, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let version = version_behind(&entry.file_name(), prefix)?;
            Some((version, entry.path()))
        })
        .collect()
}

fn version_behind(name: &OsStr, prefix: &str) -> Option<u32> {
    name.to_str()?.strip_prefix(prefix)?.parse().ok()
}

fn nats_version(server: &Path) -> Option<(u32, u32)> {
    let output = Command::new(server).arg("--version").output().ok()?;
    parse_nats_version(&String::from_utf8_lossy(&output.stdout))
}

fn parse_nats_version(text: &str) -> Option<(u32, u32)> {
    let (_, version) = text.trim().rsplit_once('v')?;
    let mut numbers = version.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_the_server_prints() {
        assert_eq!(parse_nats_version("nats-server: v2.15.1\n"), Some((2, 15)));
        assert_eq!(parse_nats_version("nats-server: v2.9.10"), Some((2, 9)));
        assert_eq!(parse_nats_version("command not found"), None);
    }

    #[test]
    fn a_folder_of_a_package_tells_its_version() {
        assert_eq!(version_behind(OsStr::new("18"), ""), Some(18));
        assert_eq!(version_behind(OsStr::new("pgsql-16"), "pgsql-"), Some(16));
        assert_eq!(version_behind(OsStr::new("share"), ""), None);
    }
}
