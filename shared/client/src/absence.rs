//! A consumer that was there is missing: its task was reset and is not started yet, a group's own stream is being made
//! anew, or the group is deleted.
//!
//! The consumer cannot tell which. In the first two cases it comes back, within seconds where the task is started. So it
//! is waited for, as long as logins may be refused. Who is deleted hears it elsewhere: from the service that says what
//! may be read, or because no login is let in any more.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;

/// Since when a consumer is missing.
#[derive(Debug)]
pub(crate) struct Absence {
    patience: Duration,
    since: Option<Instant>,
}

impl Absence {
    /// It is there, and once it is not, may be missing for so long.
    pub(crate) const fn new(patience: Duration) -> Self {
        Self {
            patience,
            since: None,
        }
    }

    /// It is there.
    pub(crate) const fn end(&mut self) {
        self.since = None;
    }

    /// Takes what asking for it gave instead of it: all that may heal.
    ///
    /// # Errors
    /// What does not, and that it was missing for too long.
    pub(crate) fn bear(&mut self, error: Error) -> Result<(), Error> {
        if let Error::GroupDeleted { group } = &error {
            if self.since.is_none() {
                tracing::warn!(%group, "the group has no consumer any more: waiting for it");
            }
            let since = *self.since.get_or_insert_with(Instant::now);
            if since.elapsed() < self.patience {
                return Ok(());
            }
            return Err(error);
        }
        if error.is_final() {
            return Err(error);
        }
        tracing::debug!(error = %error, "the consumer does not answer");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rowcast_domain::GroupId;

    use super::*;

    fn missing() -> Error {
        Error::GroupDeleted {
            group: GroupId::random(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_back_may_be_missing_again_for_as_long() {
        let mut absence = Absence::new(Duration::from_secs(10));
        for _ in 0..3 {
            absence.bear(missing()).unwrap();
            tokio::time::sleep(Duration::from_secs(9)).await;
            absence.bear(missing()).unwrap();
            absence.end();
        }
        absence.bear(missing()).unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        let ended = absence.bear(missing());
        assert!(
            matches!(ended, Err(Error::GroupDeleted { .. })),
            "{ended:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_borne_and_what_ends_a_subscription_is_not() {
        let mut absence = Absence::new(Duration::ZERO);
        absence
            .bear(Error::Unreachable("no answer".into()))
            .unwrap();
        let login = "reader".to_owned();
        let refused = absence.bear(Error::LoginRefused { login });
        assert!(matches!(refused, Err(Error::LoginRefused { .. })));
    }
}
