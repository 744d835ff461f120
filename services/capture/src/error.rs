//! What can go wrong with a task, and what each failure means. Nothing else decides about retries.

use std::time::Duration;

use rowcast_bus::batch::BatchError;
use rowcast_domain::Lsn;
use rowcast_pg::ErrorClass;

use crate::pipeline::decode::DecodeError;
use crate::pipeline::encode::EncodeError;
use crate::pipeline::translate::TranslateError;

/// Any error of the broker's client.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A task is interrupted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The source failed or refused.
    #[error("source: {0}")]
    Source(#[from] rowcast_pg::Error),
    /// The source has neither sent anything nor answered, for so long.
    #[error(
        "source: it has said nothing for {0:?}, though it was asked: the connection is given up"
    )]
    SourceSilent(Duration),
    /// The broker failed or refused.
    #[error("broker: {0}")]
    Broker(#[source] BoxError),
    /// A batch is not known to be stored.
    #[error("broker: {0}")]
    Batch(#[from] BatchError),
    /// A frame cannot be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A line of `test_decoding` cannot be translated.
    #[error(transparent)]
    Translate(#[from] TranslateError),
    /// A change cannot be a message.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The task needs a decision.
    #[error(transparent)]
    Stop(#[from] StopReason),
    /// The stream ends with a message that is not Rowcast's.
    #[error("message {sequence} at the stream's end was not written by Rowcast")]
    ForeignMessage {
        /// Its sequence.
        sequence: u64,
    },
    /// Another process has written what only the holder of the lease may write.
    #[error("another capture process has written {what}: this one has lost the task")]
    Fenced {
        /// What it has written.
        what: String,
    },
    /// The server still makes the slot for an earlier start.
    #[error(
        "the server still makes the slot, which waits for the transactions that were open then"
    )]
    SlotBeingMade,
    /// The server is a standby that keeps a copy of the slot.
    #[error("the server is a standby: its copy of the slot can be read once it is promoted")]
    StandbySlot,
    /// The wish cannot be understood.
    #[error("the task's definition is malformed: {0}")]
    MalformedSpec(String),
}

/// Why a task cannot go on by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StopReason {
    /// Another server answers.
    #[error(
        "the source is another server: its system identifier is {found}, the task began on {expected}"
    )]
    SourceReplaced {
        /// Of the server that answers.
        found: String,
        /// Of the server that the task began on.
        expected: String,
    },
    /// The server's history is not the one that was read.
    #[error("the source's history has changed: {0}")]
    HistoryDiverged(String),
    /// Changes are lost for this task.
    #[error("changes from {from} on may be lost: {cause}")]
    Gap {
        /// First LSN that is not known to be in the stream.
        from: Lsn,
        /// What happened.
        cause: String,
    },
    /// The broker lost what it had acknowledged.
    #[error("the broker has lost changes: {0}")]
    BrokerDataLoss(String),
    /// The publication is gone or has lost a table.
    #[error("the publication on the source is gone or has changed: {0}")]
    PublicationMissing(String),
    /// Tables that the user named do not exist.
    #[error("the source has no table {0}")]
    TableMissing(String),
    /// Nothing matches the selection.
    #[error("no table of the source matches the task's objects")]
    NothingToTrack,
    /// Something that the task made is still there after its release.
    #[error("{what} could not be removed")]
    NotRemoved {
        /// What is left.
        what: String,
        /// What removes it.
        sql: String,
    },
    /// The ETL policy cannot be applied to a row, and is to stop the task then.
    #[error("{0}")]
    EtlFailed(String),
    /// A change that cannot be told can be kept nowhere.
    #[error("a change cannot be told, and cannot be parked either: {0}")]
    ParkingFull(String),
    /// The source is too old for logical decoding; its `server_version`.
    #[error("PostgreSQL {}.{} cannot be tracked: version 9.4 or later is needed", .0 / 10_000, .0 / 100 % 100)]
    UnsupportedVersion(u32),
}

/// What a failure means for the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// It may pass: try again within the task's retry window.
    Retry {
        /// Stable name.
        code: &'static str,
    },
    /// It needs a decision.
    Stop {
        /// Stable name.
        code: &'static str,
        /// What the user can do.
        advice: String,
    },
}

impl Error {
    /// Wraps an error of the broker's client.
    pub(crate) fn broker(error: impl Into<BoxError>) -> Self {
        Self::Broker(error.into())
    }

    /// Whether the broker should be asked how it is: a stream whose storage fails is only silent.
    pub(crate) const fn may_be_storage(&self) -> bool {
        matches!(
            self,
            Self::Broker(_) | Self::Batch(BatchError::Timeout | BatchError::NoStream)
        )
    }

    /// What the failure means.
    pub(crate) fn recovery(&self) -> Recovery {
        let stop = |code, advice: &str| Recovery::Stop {
            code,
            advice: advice.to_owned(),
        };
        match self {
            Self::Source(error) => match error.class() {
                ErrorClass::Transient => Recovery::Retry {
                    code: "SourceUnavailable",
                },
                ErrorClass::Definite => stop(
                    "SourceRefused",
                    "Run the precheck: it names the setting, grant or object that is missing. Then start the task again.",
                ),
            },
            Self::SourceSilent(_) | Self::SlotBeingMade | Self::StandbySlot => Recovery::Retry {
                code: "SourceUnavailable",
            },
            // A refused fence is no exception: the tail is read again, and tells whether another
            // writer or a loss is behind it.
            Self::Broker(_) | Self::Batch(_) | Self::Fenced { .. } => Recovery::Retry {
                code: "BrokerUnavailable",
            },
            Self::Translate(TranslateError::Spool(_)) => Recovery::Retry {
                code: "SpoolUnavailable",
            },
            Self::Decode(_)
            | Self::Translate(
                TranslateError::Malformed { .. }
                | TranslateError::OutOfOrder { .. }
                | TranslateError::Unfit(_),
            ) => stop(
                "UndecodableChange",
                "Report this with the message above. The slot keeps the change until it can be decoded.",
            ),
            Self::Encode(EncodeError::LimitTooLow { .. }) => stop(
                "BrokerLimitTooLow",
                "Raise max_payload of the NATS server to 64 KB or more, then start the task again.",
            ),
            Self::Encode(EncodeError::Undefined(_)) | Self::MalformedSpec(_) => {
                stop("Internal", "Report this with the message above.")
            }
            Self::ForeignMessage { .. } => stop(
                "ForeignMessage",
                "Find out who publishes into the task's stream: only capture may. Then release the task and create it again.",
            ),
            Self::Stop(reason) => Recovery::Stop {
                code: reason.code(),
                advice: reason.advice(),
            },
        }
    }
}

impl StopReason {
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::SourceReplaced { .. } => "SourceReplaced",
            Self::HistoryDiverged(_) => "HistoryDiverged",
            Self::Gap { .. } => "Gap",
            Self::BrokerDataLoss(_) => "BrokerDataLoss",
            Self::PublicationMissing(_) => "PublicationMissing",
            Self::TableMissing(_) => "TableMissing",
            Self::NothingToTrack => "NothingToTrack",
            Self::NotRemoved { .. } => "NotRemoved",
            Self::EtlFailed(_) => "EtlFailed",
            Self::ParkingFull(_) => "ParkingFull",
            Self::UnsupportedVersion(_) => "UnsupportedVersion",
        }
    }

    /// Whether the user may decide to go on with what is missing: not where positions of another
    /// history would follow those of the old one.
    pub(crate) const fn can_be_accepted(&self) -> bool {
        match self {
            Self::Gap { .. } | Self::PublicationMissing(_) | Self::BrokerDataLoss(_) => true,
            Self::SourceReplaced { .. }
            | Self::HistoryDiverged(_)
            | Self::TableMissing(_)
            | Self::NothingToTrack
            | Self::NotRemoved { .. }
            | Self::EtlFailed(_)
            | Self::ParkingFull(_)
            | Self::UnsupportedVersion(_) => false,
        }
    }

    fn advice(&self) -> String {
        match self {
            Self::SourceReplaced { .. } => {
                "Point the task at the server it began on, or release it and create it again for the new one."
            }
            Self::HistoryDiverged(_) => {
                "Changes after the last position may be missing. Release the task, create it again, and read the tables anew in the consumers."
            }
            Self::Gap { .. } | Self::PublicationMissing(_) => {
                "Changes after the last position are missing. Start the task with this stop accepted: it goes on from now and tells its readers of the gap, who may have to read the tables anew. Or release it and create it again."
            }
            Self::BrokerDataLoss(_) => {
                "Restore the stream. Or start the task with this stop accepted: it goes on and tells its readers of the gap, who may have to read the tables anew."
            }
            Self::NothingToTrack | Self::TableMissing(_) => {
                "Create the tables, or change the task's objects, then start the task again."
            }
            Self::NotRemoved { sql, .. } => return format!("Run on the source: {sql}"),
            Self::EtlFailed(_) => {
                "Change the task's ETL policy, or what becomes of rows that it fails on, then start the task again: it goes on with that row."
            }
            Self::ParkingFull(_) => {
                "Read what is parked and make room: nats stream view ROWCAST_PARKED, then nats stream purge ROWCAST_PARKED, as a user of account CONTROL. Then start the task again: it goes on with that change."
            }
            Self::UnsupportedVersion(_) => "Upgrade the source.",
        }
        .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_is_retried_and_a_refused_login_is_not() {
        let lost = rowcast_pg::Error::ConnectionLost(std::io::Error::other("reset"));
        assert_eq!(
            Error::from(lost).recovery(),
            Recovery::Retry {
                code: "SourceUnavailable"
            }
        );
        let refused = rowcast_pg::Error::Authentication("wrong password".to_owned());
        let Recovery::Stop { code, .. } = Error::from(refused).recovery() else {
            panic!("retried")
        };
        assert_eq!(code, "SourceRefused");
    }

    #[test]
    fn a_refused_fence_leads_back_to_the_tail() {
        let fenced = BatchError::Fenced {
            expected: 7,
            description: String::new(),
        };
        assert_eq!(
            Error::from(fenced).recovery(),
            Recovery::Retry {
                code: "BrokerUnavailable"
            }
        );
    }
}
