//! Secrets of one machine, made once and kept in files that only their owner may read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use nkeys::KeyPair;
use rowcast_domain::Secret;

use crate::error::Error;

/// Every user of `nats.conf`.
pub const NATS_USERS: [&str; 10] = [
    "sys",
    "task-api",
    "precheck",
    "capture",
    "consumer-group",
    "billing",
    "alerting",
    "capture-data",
    "consumer-group-data",
    "callout",
];

/// The folder of secrets.
#[derive(Debug, Clone)]
pub struct Credentials {
    folder: PathBuf,
}

impl Credentials {
    /// Opens the folder, and makes it if it is missing.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(Error::io("make the folder", folder))?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Password of a user of NATS.
    ///
    /// # Errors
    /// Where its file cannot be read or written.
    pub fn nats_password(&self, user: &str) -> Result<Secret, Error> {
        self.keep(&format!("nats-{user}"), || Ok(random_password()))
    }

    /// Password of a role of PostgreSQL.
    ///
    /// # Errors
    /// Where its file cannot be read or written.
    pub fn database_password(&self, role: &str) -> Result<Secret, Error> {
        self.keep(&format!("database-password-{role}"), || {
            Ok(random_password())
        })
    }

    /// Password of a consumer group that is made together with this folder.
    ///
    /// # Errors
    /// Where its file cannot be read or written.
    pub fn group_password(&self, group: &str) -> Result<Secret, Error> {
        self.keep(&format!("group-{group}"), || Ok(random_group_password()))
    }

    /// File of [`Self::group_password`].
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn group_password_file(&self, group: &str) -> Result<PathBuf, Error> {
        self.group_password(group)?;
        Ok(self.file(&format!("group-{group}")))
    }

    /// Seed of the key that signs the answers to the auth callout.
    ///
    /// # Errors
    /// Where its file cannot be read or written.
    pub fn callout_seed(&self) -> Result<Secret, Error> {
        self.keep("callout-seed", || KeyPair::new_account().seed())
    }

    /// Public part of [`Self::callout_seed`], which the server knows.
    ///
    /// # Errors
    /// Where the seed cannot be read, or is none.
    pub fn callout_issuer(&self) -> Result<String, Error> {
        let seed = self.callout_seed()?;
        Ok(KeyPair::from_seed(seed.expose())?.public_key())
    }

    /// Key under which the services seal secrets: 64 hexadecimal digits.
    ///
    /// # Errors
    /// Where its file cannot be read or written.
    pub fn secret_key(&self) -> Result<Secret, Error> {
        self.keep("secret-key", || Ok(random_hex::<32>()))
    }

    /// First token of the API.
    ///
    /// # Errors
    /// Where its file cannot be read or written.
    pub fn admin_token(&self) -> Result<Secret, Error> {
        self.keep("admin-token", || Ok(random_password()))
    }

    /// File of [`Self::nats_password`].
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn nats_password_file(&self, user: &str) -> Result<PathBuf, Error> {
        self.nats_password(user)?;
        Ok(self.file(&format!("nats-{user}")))
    }

    /// File of [`Self::callout_seed`].
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn callout_seed_file(&self) -> Result<PathBuf, Error> {
        self.callout_seed()?;
        Ok(self.file("callout-seed"))
    }

    /// File of [`Self::secret_key`].
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn secret_key_file(&self) -> Result<PathBuf, Error> {
        self.secret_key()?;
        Ok(self.file("secret-key"))
    }

    /// File of [`Self::admin_token`].
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn admin_token_file(&self) -> Result<PathBuf, Error> {
        self.admin_token()?;
        Ok(self.file("admin-token"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a secret that changes from start to start, and tells its file.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn store(&self, name: &str, secret: &Secret) -> Result<PathBuf, Error> {
        let path = self.file(name);
        let fresh = self.file(&format!("{name}.new"));
        write_new(&fresh, secret.expose(), OpenOptions::new().truncate(true))?;
        std::fs::rename(&fresh, &path).map_err(Error::io("write", &path))?;
        Ok(path)
    }

    fn keep(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<String, nkeys::error::Error>,
    ) -> Result<Secret, Error> {
        let path = self.file(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Secret::new(text.trim_end())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let secret = Secret::new(make()?);
                // By way of another file: a half-written secret would be taken for whole.
                self.store(name, &secret)?;
                Ok(secret)
            }
            Err(error) => Err(Error::io("read", path)(error)),
        }
    }
}

fn write_new(path: &Path, text: &str, options: &mut OpenOptions) -> Result<(), Error> {
    let write = |mut file: File| file.write_all(text.as_bytes());
    options
        .write(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .and_then(write)
        .map_err(Error::io("write", path))
}

/// Starts with a letter, so that no configuration file takes it for a number, and needs no quotes
/// in SQL, in URLs and in shells.
#[must_use]
pub fn random_password() -> String {
    format!("p{}", random_hex::<24>())
}

/// A group's password has at most 32 characters, of two kinds at least.
fn random_group_password() -> String {
    format!("P{}", random_hex::<12>())
}

fn random_hex<const BYTES: usize>() -> String {
    HEXLOWER.encode(&rand::random::<[u8; BYTES]>())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = folder.path().join("secrets");
        let first = Credentials::open(&secrets).unwrap();
        let password = first.nats_password("billing").unwrap();
        let again = Credentials::open(&secrets).unwrap();
        assert_eq!(again.nats_password("billing").unwrap(), password);
        assert_ne!(again.nats_password("alerting").unwrap(), password);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&secrets), 0o700);
        assert_eq!(mode(&secrets.join("nats-billing")), 0o600);
    }

    #[test]
    fn the_issuer_is_the_public_part_of_the_seed() {
        let folder = tempfile::tempdir().unwrap();
        let credentials = Credentials::open(folder.path()).unwrap();
        assert!(
            credentials
                .callout_seed()
                .unwrap()
                .expose()
                .starts_with("SA")
        );
        assert!(credentials.callout_issuer().unwrap().starts_with('A'));
    }

    #[test]
    fn a_stored_secret_replaces_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let credentials = Credentials::open(folder.path()).unwrap();
        credentials.store("url", &Secret::new("long text")).unwrap();
        let path = credentials.store("url", &Secret::new("short")).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "short");
    }
}
