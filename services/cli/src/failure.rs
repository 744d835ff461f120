//! Why a command ends without having done what was asked, and the exit code that says so.

use std::process::ExitCode;

/// What scripts can tell apart. 0 is success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Refused, or tried and failed.
    Failed = 1,
    /// The command line is wrong; clap uses the same number.
    Usage = 2,
    /// The platform, or a part of it that must answer, cannot be reached.
    Unreachable = 3,
    /// There is no source, task, group or context of this name.
    NotFound = 4,
    /// The token is missing or wrong.
    Denied = 5,
    /// It was not over within the time of `--timeout`.
    TimedOut = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        // The discriminants are the codes.
        Self::from(exit as u8)
    }
}

/// A failure that has an exit code of its own.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub(crate) struct Failure {
    /// What the process ends with.
    pub(crate) exit: Exit,
    /// What happened and what to do about it.
    pub(crate) sentence: String,
}

impl Failure {
    /// A failure to be returned.
    pub(crate) fn of(exit: Exit, sentence: impl Into<String>) -> anyhow::Error {
        Self {
            exit,
            sentence: sentence.into(),
        }
        .into()
    }

    /// The code of an error: its own, or that of any failure.
    pub(crate) fn exit_of(error: &anyhow::Error) -> Exit {
        error
            .chain()
            .find_map(|cause| cause.downcast_ref::<Self>())
            .map_or(Exit::Failed, |failure| failure.exit)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_code_is_found_below_what_was_added() {
        let error = Failure::of(Exit::NotFound, "there is no task");
        let error = Err::<(), _>(error).context("while looking").unwrap_err();
        assert_eq!(Failure::exit_of(&error), Exit::NotFound);
        assert_eq!(Failure::exit_of(&anyhow::anyhow!("disk")), Exit::Failed);
    }
}
