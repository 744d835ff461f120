//! Events that cannot be taken, now or ever.

use rowcast_bus::Outcome;
use rowcast_bus::async_nats::jetstream::kv;

/// Why an event was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The event does not say what it must.
    #[error("the event's {field} is {value:?}")]
    Malformed {
        /// Which part.
        field: &'static str,
        /// What it says.
        value: String,
    },
    /// What would tell of it cannot be written.
    #[error("what tells of it cannot be encoded")]
    Encode(#[from] serde_json::Error),
    /// The task's wish cannot be asked for.
    #[error("the wish cannot be asked for: {0}")]
    Wishes(kv::EntryError),
    /// The database did not do it.
    #[error("the database did not do it: {0}")]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Outcome {
    fn from(error: Error) -> Self {
        match &error {
            Error::Malformed { .. } | Error::Encode(_) => Self::Park(error.into()),
            Error::Database(cause) if is_of_the_data(cause) => Self::Park(error.into()),
            Error::Wishes(_) | Error::Database(_) => Self::Retry(error.into()),
        }
    }
}

/// Class 22, "data exception": the database will never take these values.
fn is_of_the_data(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code.starts_with("22"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_retried_and_a_bad_event_is_parked() {
        let outage = Outcome::from(Error::Database(sqlx::Error::PoolTimedOut));
        assert!(matches!(outage, Outcome::Retry(_)));
        let bad = Error::Malformed {
            field: "to",
            value: String::new(),
        };
        assert!(matches!(Outcome::from(bad), Outcome::Park(_)));
    }
}
