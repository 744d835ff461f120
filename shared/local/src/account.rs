//! The system account under which PostgreSQL runs: it refuses to run as root.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;

/// A system account that is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

impl Account {
    /// Whom PostgreSQL must run as, or `None` where it runs as we do.
    pub(crate) fn for_postgres() -> Result<Option<Self>, Error> {
        if id(&["-u"]) != Some(0) {
            return Ok(None);
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| {
                Some(Self {
                    user: id(&["-u", name])?,
                    group: id(&["-g", name])?,
                })
            })
            .map(Some)
            .ok_or(Error::NoAccount)
    }

    /// Gives a file or folder to this account.
    pub(crate) fn own(self, path: &Path) -> Result<(), Error> {
        std::os::unix::fs::chown(path, Some(self.user), Some(self.group))
            .map_err(Error::io("change the owner of", path))
    }
}

/// Where another account finds the folder that we would call `wanted`: there, or, where a parent
/// shuts other accounts out, in a place of its own below `/var/tmp`.
pub(crate) fn reachable(wanted: &Path) -> PathBuf {
    let open = wanted.ancestors().skip(1).all(lets_others_through);
    if open {
        wanted.to_owned()
    } else {
        let name = format!("rowcast-{:016x}", hash(wanted));
        Path::new("/var/tmp").join(name)
    }
}

fn lets_others_through(folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    // What does not exist yet is made by us, open to others.
    std::fs::metadata(folder).is_ok_and(|found| found.permissions().mode() & 0o001 != 0)
}

/// FNV-1a: the same in every build, which the hash of the standard library does not promise.
fn hash(path: &Path) -> u64 {
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).output().ok()?;
    if !output.status.success() {
        return None;
    }
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_behind_a_closed_one_moves_to_the_same_place_each_time() {
        let closed = tempfile::tempdir().unwrap();
        let inside = closed.path().join("state").join("pg");
        std::fs::create_dir(closed.path().join("state")).unwrap();
        let set_mode = |mode| {
            std::fs::set_permissions(closed.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        set_mode(0o700);
        let moved = reachable(&inside);
        assert!(moved.starts_with("/var/tmp"), "{moved:?}");
        assert_eq!(reachable(&inside), moved);
        set_mode(0o711);
        assert_eq!(reachable(&inside), inside);
    }
}
