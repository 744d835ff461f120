//! Passwords of groups: what is accepted, and their hashes (argon2id).

use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::{self, Output, ParamsString, PasswordHash, Salt, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use rowcast_domain::Secret;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Shortest and longest password.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=32;

/// Kinds of characters a password must mix.
const LEAST_CLASSES: usize = 2;

/// Hashes computed at a time, of 19 MiB each, which are kept: bounds what a flood of logins can take.
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
    workspaces: Workspaces,
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
        let workspaces = Workspaces::default();
        Ok(Self {
            permits: Arc::new(Semaphore::new(CONCURRENT)),
            nobody: workspaces.hash(&nobody)?.into(),
            workspaces,
        })
    }

    /// The hash of a new password, in PHC form.
    pub(crate) async fn hash(&self, password: Secret) -> Result<String, HashError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await?;
        let workspaces = self.workspaces.clone();
        tokio::task::spawn_blocking(move || {
            let hashed = workspaces.hash(&password);
            drop(permit);
            hashed
        })
        .await?
    }

    /// Waits for its turn: until fewer hashes are computed than may be at a time.
    pub(crate) async fn turn(&self) -> Result<Turn, HashError> {
        Ok(Arc::clone(&self.permits).acquire_owned().await?)
    }

    /// Whether the password is the one behind `stored`. Without a stored hash it never is, and takes
    /// as long.
    pub(crate) async fn verify(
        &self,
        turn: Turn,
        password: Secret,
        stored: Option<String>,
    ) -> Result<bool, HashError> {
        let workspaces = self.workspaces.clone();
        let nobody = Arc::clone(&self.nobody);
        tokio::task::spawn_blocking(move || {
            let right = workspaces.verify(&password, stored.as_deref().unwrap_or(&nobody));
            drop(turn);
            Ok(right? && stored.is_some())
        })
        .await?
    }
}

/// That a hash may be computed now; given back when dropped.
pub(crate) type Turn = OwnedSemaphorePermit;

/// Memory that hashes are computed in. It is taken again by the next one: an allocator would keep some of it for each
/// thread that has ever computed one.
#[derive(Debug, Clone, Default)]
struct Workspaces(Arc<Mutex<Vec<Vec<Block>>>>);

impl Workspaces {
    fn hash(&self, password: &Secret) -> Result<String, HashError> {
        let salt = SaltString::encode_b64(&rand::random::<[u8; SALT_BYTES]>())?;
        let params = Params::default();
        let output = self.compute(
            Algorithm::default(),
            Version::default(),
            &params,
            (password, salt.as_salt()),
        )?;
        let hash = PasswordHash {
            algorithm: Algorithm::default().ident(),
            version: Some(Version::default().into()),
            params: ParamsString::try_from(&params)?,
            salt: Some(salt.as_salt()),
            hash: Some(output),
        };
        Ok(hash.to_string())
    }

    /// By the parameters that it was stored with.
    fn verify(&self, password: &Secret, stored: &str) -> Result<bool, HashError> {
        let stored = PasswordHash::new(stored)?;
        let (Some(salt), Some(right)) = (stored.salt, stored.hash) else {
            return Err(password_hash::Error::PhcStringField.into());
        };
        let algorithm = Algorithm::try_from(stored.algorithm)?;
        let version = stored
            .version
            .map_or(Ok(Version::default()), Version::try_from);
        let params = Params::try_from(&stored)?;
        let version = version.map_err(password_hash::Error::from)?;
        let computed = self.compute(algorithm, version, &params, (password, salt))?;
        // Compares in constant time.
        Ok(computed == right)
    }

    fn compute(
        &self,
        algorithm: Algorithm,
        version: Version,
        params: &Params,
        (password, salt): (&Secret, Salt<'_>),
    ) -> Result<Output, HashError> {
        let mut bytes = [0; Salt::MAX_LENGTH];
        let salt = salt.decode_b64(&mut bytes)?;
        let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let mut memory = self.take();
        memory.resize(params.block_count(), Block::new());
        let argon2 = Argon2::new(algorithm, version, params.clone());
        let password = password.expose().as_bytes();
        let output = Output::init_with(length, |out| {
            Ok(argon2.hash_password_into_with_memory(password, salt, out, &mut memory)?)
        });
        self.give_back(memory);
        Ok(output?)
    }

    fn take(&self) -> Vec<Block> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        free.pop().unwrap_or_default()
    }

    fn give_back(&self, memory: Vec<Block>) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(memory);
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

    async fn verify(hasher: &Hasher, password: &str, stored: Option<&str>) -> bool {
        let turn = hasher.turn().await.unwrap();
        let stored = stored.map(str::to_owned);
        let verified = hasher.verify(turn, Secret::new(password), stored);
        verified.await.unwrap()
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_group_that_exists_is_good() {
        let hasher = Hasher::new().unwrap();
        let right = Secret::new("hunter2A");
        let stored = hasher.hash(right.clone()).await.unwrap();
        assert!(stored.starts_with("$argon2id$"), "{stored}");
        assert!(verify(&hasher, "hunter2A", Some(&stored)).await);
        assert!(!verify(&hasher, "hunter2B", Some(&stored)).await);
        assert!(!verify(&hasher, "hunter2A", None).await);
    }

    #[tokio::test]
    async fn memory_is_taken_again_and_a_hash_of_the_library_is_verified() {
        use argon2::PasswordHasher as _;
        let hasher = Hasher::new().unwrap();
        let right = Secret::new("hunter2A");
        let salt = SaltString::encode_b64(&[7; SALT_BYTES]).unwrap();
        let theirs = Argon2::default().hash_password(right.expose().as_bytes(), &salt);
        let theirs = theirs.unwrap().to_string();
        for _ in 0..3 {
            assert!(verify(&hasher, "hunter2A", Some(&theirs)).await);
        }
        assert_eq!(hasher.workspaces.0.lock().unwrap().len(), 1);
        let ours = hasher.hash(right.clone()).await.unwrap();
        let ours = PasswordHash::new(&ours).unwrap();
        let verifies: &[&dyn argon2::PasswordVerifier] = &[&Argon2::default()];
        ours.verify_password(verifies, right.expose()).unwrap();
        let all = (0..20).map(|_| hasher.hash(right.clone()));
        futures::future::try_join_all(all).await.unwrap();
        assert!(hasher.workspaces.0.lock().unwrap().len() <= CONCURRENT);
    }
}
