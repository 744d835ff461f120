//! What ends a session, and what becomes of the group then.

use rowcast_bus::batch::BatchError;
use rowcast_service::BoxError;

use super::change::Stop;

/// Why a session has ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Again would be the same: somebody has to decide. It is tried again now and then all the same.
    #[error(transparent)]
    Stop(#[from] Stop),
    /// It may pass.
    #[error("{0}")]
    Retry(BoxError),
}

impl From<BoxError> for Failure {
    fn from(error: BoxError) -> Self {
        Self::Retry(error)
    }
}

impl From<&str> for Failure {
    fn from(sentence: &str) -> Self {
        Self::Retry(sentence.into())
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Retry(error.into())
    }
}

impl From<BatchError> for Failure {
    fn from(error: BatchError) -> Self {
        Self::Retry(error.into())
    }
}
