//! Passwords of groups: what is accepted, and their hashes (argon2id).

use std::sync::Arc;

use argon2::password_hash::{self, PasswordHash, PasswordHasher as _, PasswordVerifier as _};
use argon2::{Argon2, password_hash::SaltString};
use rowcast_domain::Secret;
use tokio::sync::Semaphore;

/// Shortest and longest password.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=32;

/// Kinds of characters a password must mix.
const LEAST_CLASSES: usize = 2;

/// Hashes computed at a time, of 19 MiB each: bounds what a flood of logins can take.
const CONCURRENT: usize = 4;

/// Random bytes in a salt (RFC 9106, section 3.1).
const SALT_BYTES: usize = 16;

/// What a password lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Weakness {
    /// Too short or too long.
    #[error("the password must have {} to {} characters", LENGTH.start(), LENGTH.end())]
    Length,
    /// A character that cannot be typed everywhere.
    #[error("the password must consist of printable ASCII characters without spaces")]
    Character,
    /// All characters of one kind.
    #[error(
        "the password must mix at least {LEAST_CLASSES} of: lower case, upper case, digits, others"
    )]
    Classes,
}

/// A hash could not be computed or compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashError {
    /// The stored hash is malformed, or its parameters are refused.
    #[error("the password hash cannot be used: {0}")]
    Hash(password_hash::Error),
    /// The computation was cut off.
    #[error("the password hash was not computed")]
    Cancelled(#[from] tokio::task::JoinError),
    /// The process stops.
    #[error("no more password hashes are computed")]
    Closed(#[from] tokio::sync::AcquireError),
}

impl From<password_hash::Error> for HashError {
    fn from(error: password_hash::Error) -> Self {
        Self::Hash(error)
    }
}

/// Checks that a new password is strong enough.
pub(crate) fn check(password: &Secret) -> Result<(), Weakness> {
    let text = password.expose();
    if !LENGTH.contains(&text.chars().count()) {
        return Err(Weakness::Length);
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Weakness::Character);
    }
    let kinds: [fn(&u8) -> bool; 4] = [
        u8::is_ascii_lowercase,
        u8::is_ascii_uppercase,
        u8::is_ascii_digit,
        u8::is_ascii_punctuation,
    ];
    let classes = kinds
        .into_iter()
        .filter(|is_of_kind| text.as_bytes().iter().any(is_of_kind))
        .count();
    if classes < LEAST_CLASSES {
        return Err(Weakness::Classes);
    }
    Ok(())
}

/// Computes hashes away from the async threads, a few at a time. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Hasher {
    permits: Arc<Semaphore>,
    /// Hash of a password that nobody has: verified where there is no group, so that the time of a
    /// refusal does not tell which logins exist.
    nobody: Arc<str>,
}

impl Hasher {
    /// Makes the hasher.
    ///
    /// # Errors
    /// Where the hash function refuses its parameters.
    pub(crate) fn new() -> Result<Self, HashError> {
        let nobody = Secret::new(data_encoding::BASE64.encode(&rand::random::<[u8; 32]>()));
        Ok(Self {
            permits: Arc::new(Semaphore::new(CONCURRENT)),
            nobody: hash(&nobody)?.into(),
        })
    }

    /// The hash of a new password, in PHC form.
    pub(crate) async fn hash(&self, password: Secret) -> Result<String, HashError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await?;
        tokio::task::spawn_blocking(move || {
            let hashed = hash(&password);
            drop(permit);
            hashed
        })
        .await?
    }

    /// Whether the password is the one behind `stored`. Without a stored hash it never is, and takes
    /// as long.
    pub(crate) async fn verify(
        &self,
        password: Secret,
        stored: Option<String>,
    ) -> Result<bool, HashError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await?;
        let nobody = Arc::clone(&self.nobody);
        tokio::task::spawn_blocking(move || {
            let right = verify(&password, stored.as_deref().unwrap_or(&nobody));
            drop(permit);
            Ok(right? && stored.is_some())
        })
        .await?
    }
}

fn hash(password: &Secret) -> Result<String, HashError> {
    let salt = SaltString::encode_b64(&rand::random::<[u8; SALT_BYTES]>())?;
    let hash = Argon2::default().hash_password(password.expose().as_bytes(), &salt)?;
    Ok(hash.to_string())
}

fn verify(password: &Secret, stored: &str) -> Result<bool, HashError> {
    let stored = PasswordHash::new(stored)?;
    match Argon2::default().verify_password(password.expose().as_bytes(), &stored) {
        Ok(()) => Ok(true),
        Err(password_hash::Error::Password) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_needs_length_and_two_kinds_of_characters() {
        let cases = [
            ("abcdefg1", Ok(())),
            ("abcdefgH", Ok(())),
            ("1234567!", Ok(())),
            ("abcdef1", Err(Weakness::Length)),
            ("a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a", Err(Weakness::Length)),
            ("abcdefgh", Err(Weakness::Classes)),
            ("12345678", Err(Weakness::Classes)),
            ("abcd efgh1", Err(Weakness::Character)),
            ("abcdefg\u{e9}1", Err(Weakness::Character)),
            ("abcdefg\n1", Err(Weakness::Character)),
        ];
        for (password, wanted) in cases {
            assert_eq!(check(&Secret::new(password)), wanted, "{password:?}");
        }
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_group_that_exists_is_good() {
        let hasher = Hasher::new().unwrap();
        let right = Secret::new("hunter2A");
        let stored = hasher.hash(right.clone()).await.unwrap();
        assert!(stored.starts_with("$argon2id$"), "{stored}");
        let good = hasher.verify(right.clone(), Some(stored.clone())).await;
        assert!(good.unwrap());
        let wrong = hasher.verify(Secret::new("hunter2B"), Some(stored)).await;
        assert!(!wrong.unwrap());
        assert!(!hasher.verify(right, None).await.unwrap());
    }
}
