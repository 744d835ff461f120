//! The token of the settings, which may do everything.

use ring::hmac;
use ring::rand::SystemRandom;
use rowcast_domain::Secret;
use rowcast_service::BoxError;

/// Knows the admin token without holding it.
///
/// The SHA-256 is keyed per process: `ring` compares such a digest in constant time.
#[derive(Debug)]
pub(crate) struct AdminToken {
    key: hmac::Key,
    digest: hmac::Tag,
}

impl AdminToken {
    /// # Errors
    /// Where the system gives no random bytes.
    pub(crate) fn new(token: &Secret) -> Result<Self, BoxError> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_unspecified| "the system gives no random bytes")?;
        let digest = hmac::sign(&key, token.expose().as_bytes());
        Ok(Self { key, digest })
    }

    pub(super) fn is(&self, given: &str) -> bool {
        hmac::verify(&self.key, given.as_bytes(), self.digest.as_ref()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_is_the_token() {
        let token = AdminToken::new(&Secret::new("letmein")).unwrap();
        assert!(token.is("letmein"));
        for wrong in ["", "letmei", "letmein ", "LETMEIN"] {
            assert!(!token.is(wrong), "{wrong:?}");
        }
    }
}
