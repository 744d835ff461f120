//! The text of a token that the API makes: shown once, and known by its digest from then on.
//!
//! It holds 256 random bits, so nobody guesses it and a plain SHA-256 is enough of a digest. The table is
//! searched for the digest: the time that takes tells nothing of a token.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use rowcast_domain::Secret;

/// What every such token begins with, for people and for those who look for leaked secrets.
const PREFIX: &str = "rct_";

const RANDOM_BYTES: usize = 32;

/// A new token.
#[derive(Debug)]
pub(crate) struct ApiToken(Secret);

impl ApiToken {
    /// Makes one; `None` where the system gives no random bytes.
    pub(crate) fn random() -> Option<Self> {
        let mut bytes = [0; RANDOM_BYTES];
        SystemRandom::new().fill(&mut bytes).ok()?;
        let mut text = PREFIX.to_owned();
        for byte in bytes {
            write!(text, "{byte:02x}").ok()?;
        }
        Some(Self(Secret::new(text)))
    }

    pub(crate) fn secret(&self) -> &Secret {
        &self.0
    }

    /// By what it is found again.
    pub(crate) fn digest(&self) -> Vec<u8> {
        sha256(self.0.expose())
    }

    /// By what a token is found again; `None` for what cannot be one.
    pub(crate) fn digest_of(given: &str) -> Option<Vec<u8>> {
        let random = given.strip_prefix(PREFIX)?;
        let is_hex = random.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_one = is_hex && random.len() == 2 * RANDOM_BYTES;
        is_one.then(|| sha256(given))
    }
}

fn sha256(text: &str) -> Vec<u8> {
    digest(&SHA256, text.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_a_token_is_looked_for() {
        let token = ApiToken::random().unwrap();
        let text = token.secret().expose();
        let digest = ApiToken::digest_of(text).unwrap();
        assert_eq!((digest.len(), &digest), (32, &token.digest()));
        assert_ne!(digest, ApiToken::random().unwrap().digest());
        for wrong in [
            "",
            "rct_",
            "rct_00",
            "letmein",
            text.trim_start_matches('r'),
            &format!("{text}0"),
        ] {
            assert_eq!(ApiToken::digest_of(wrong), None, "{wrong:?}");
        }
    }
}
