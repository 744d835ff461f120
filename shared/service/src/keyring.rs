//! Secrets at rest and on the bus: AES-256-GCM under a key that the services share by file.

use data_encoding::HEXLOWER_PERMISSIVE;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest;
use ring::rand::{SecureRandom as _, SystemRandom};
use rowcast_domain::Secret;

/// Seals and opens secrets.
///
/// The key text holds one or more lines of 64 hexadecimal digits: the first key seals, any of them
/// opens, so that a key is rotated by putting a new line on top.
#[derive(Clone)]
pub struct Keyring {
    keys: std::sync::Arc<[Key]>,
}

struct Key {
    id: String,
    key: LessSafeKey,
}

/// A sealed secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which key sealed it: the first 8 bytes of the key's SHA-256, in hexadecimal.
    pub key_id: String,
    /// Random, 12 bytes.
    pub nonce: Vec<u8>,
    /// Ciphertext and tag.
    pub ciphertext: Vec<u8>,
}

/// A secret cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// The key text is malformed.
    #[error("line {line} of the key is not 64 hexadecimal digits")]
    MalformedKey {
        /// From 1.
        line: usize,
    },
    /// The key text has no key.
    #[error("the key is empty")]
    NoKey,
    /// The sealing key is not in this keyring.
    #[error("the secret was sealed with key {0}, which is not in the keyring")]
    UnknownKey(String),
    /// Changed after sealing, or sealed for another object.
    #[error("the sealed secret is damaged or belongs to another object")]
    Damaged,
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
}

impl Keyring {
    /// Reads the key text.
    ///
    /// # Errors
    /// Where a line is no key, or there is none.
    pub fn from_secret(text: &Secret) -> Result<Self, KeyringError> {
        let keys = text
            .expose()
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(index, line)| {
                Key::parse(line.trim()).ok_or(KeyringError::MalformedKey { line: index + 1 })
            })
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(KeyringError::NoKey);
        }
        Ok(Self { keys: keys.into() })
    }

    /// Seals a secret for the object that `aad` names; it opens only for the same.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn seal(&self, secret: &Secret, aad: &str) -> Result<Sealed, KeyringError> {
        let Some(sealing) = self.keys.first() else {
            return Err(KeyringError::NoKey);
        };
        let mut nonce = [0_u8; NONCE_LEN];
        SystemRandom::new()
            .fill(&mut nonce)
            .map_err(|_unspecified| KeyringError::NoRandomness)?;
        let mut ciphertext = secret.expose().as_bytes().to_vec();
        sealing
            .key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(aad.as_bytes()),
                &mut ciphertext,
            )
            .map_err(|_unspecified| KeyringError::Damaged)?;
        Ok(Sealed {
            key_id: sealing.id.clone(),
            nonce: nonce.to_vec(),
            ciphertext,
        })
    }

    /// Opens a secret that was sealed for the object that `aad` names.
    ///
    /// # Errors
    /// Where the key is not here, or the secret is damaged or another object's.
    pub fn open(&self, sealed: &Sealed, aad: &str) -> Result<Secret, KeyringError> {
        let key = self
            .keys
            .iter()
            .find(|key| key.id == sealed.key_id)
            .ok_or_else(|| KeyringError::UnknownKey(sealed.key_id.clone()))?;
        let nonce = Nonce::try_assume_unique_for_key(&sealed.nonce)
            .map_err(|_unspecified| KeyringError::Damaged)?;
        let mut text = sealed.ciphertext.clone();
        let text = key
            .key
            .open_in_place(nonce, Aad::from(aad.as_bytes()), &mut text)
            .map_err(|_unspecified| KeyringError::Damaged)?;
        let text = std::str::from_utf8(text).map_err(|_not_text| KeyringError::Damaged)?;
        Ok(Secret::new(text))
    }
}

/// What the password of a source is sealed for.
#[must_use]
pub fn source_password(source_id: &str) -> String {
    format!("source-password/{source_id}")
}

/// What the key of a source's client certificate is sealed for.
#[must_use]
pub fn source_key(source_id: &str) -> String {
    format!("source-key/{source_id}")
}

/// What the password of a new group is sealed for, on its way between two services.
#[must_use]
pub fn group_password(task_id: &str) -> String {
    format!("group-password/{task_id}")
}

/// What an answer that tells a secret is sealed for, while it is kept for a caller's Idempotency-Key.
#[must_use]
pub fn kept_answer(caller: &str, key: &str) -> String {
    format!("kept-answer/{caller}/{key}")
}

/// What the secret of a contact is sealed for.
#[must_use]
pub fn contact_secret(contact_id: &str) -> String {
    format!("contact-secret/{contact_id}")
}

impl Key {
    fn parse(line: &str) -> Option<Self> {
        let bytes = HEXLOWER_PERMISSIVE.decode(line.as_bytes()).ok()?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes).ok()?);
        let digest = digest::digest(&digest::SHA256, &bytes);
        let id = HEXLOWER_PERMISSIVE.encode(digest.as_ref().get(..8)?);
        Some(Self { id, key })
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.keys.iter().map(|key| &key.id))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(lines: &[char]) -> Keyring {
        let text: Vec<String> = lines.iter().map(|c| c.to_string().repeat(64)).collect();
        Keyring::from_secret(&Secret::new(text.join("\n"))).unwrap()
    }

    #[test]
    fn a_secret_opens_for_its_own_object_only() {
        let keyring = keyring(&['a']);
        let sealed = keyring
            .seal(&Secret::new("hunter2"), "source-password/s1")
            .unwrap();
        assert_eq!(
            keyring
                .open(&sealed, "source-password/s1")
                .unwrap()
                .expose(),
            "hunter2"
        );
        assert_eq!(
            keyring.open(&sealed, "source-password/s2"),
            Err(KeyringError::Damaged)
        );
    }

    #[test]
    fn a_rotated_keyring_still_opens_what_the_old_key_sealed() {
        let sealed = keyring(&['a']).seal(&Secret::new("x"), "o").unwrap();
        let rotated = keyring(&['b', 'a']);
        assert_eq!(rotated.open(&sealed, "o").unwrap().expose(), "x");
        assert_ne!(
            rotated.seal(&Secret::new("x"), "o").unwrap().key_id,
            sealed.key_id
        );
        let unknown = keyring(&['b']).open(&sealed, "o");
        assert_eq!(unknown, Err(KeyringError::UnknownKey(sealed.key_id)));
    }

    #[test]
    fn a_malformed_key_names_its_line() {
        let text = format!("{}\nxyz", "a".repeat(64));
        let error = Keyring::from_secret(&Secret::new(text)).unwrap_err();
        assert_eq!(error, KeyringError::MalformedKey { line: 2 });
    }
}
