//! Refusals, built by what the asker does next.

use rowcast_proto::message::{ErrorKind, RpcError};

/// Adds to a refusal.
pub trait Refusal {
    /// Names the field at fault.
    #[must_use]
    fn field(self, field: &str) -> Self;
    /// Says what to do.
    #[must_use]
    fn repair(self, repair: impl Into<String>) -> Self;
}

impl Refusal for RpcError {
    fn field(mut self, field: &str) -> Self {
        field.clone_into(&mut self.field);
        self
    }

    fn repair(mut self, repair: impl Into<String>) -> Self {
        self.repair = repair.into();
        self
    }
}

fn refusal(kind: ErrorKind, code: &str, detail: impl Into<String>) -> RpcError {
    RpcError {
        kind: kind.into(),
        code: code.to_owned(),
        detail: detail.into(),
        field: String::new(),
        repair: String::new(),
    }
}

/// The values are wrong.
#[must_use]
pub fn invalid(code: &str, detail: impl Into<String>) -> RpcError {
    refusal(ErrorKind::Invalid, code, detail)
}

/// There is no such thing.
#[must_use]
pub fn not_found(code: &str, detail: impl Into<String>) -> RpcError {
    refusal(ErrorKind::NotFound, code, detail)
}

/// The state forbids it.
#[must_use]
pub fn conflict(code: &str, detail: impl Into<String>) -> RpcError {
    refusal(ErrorKind::Conflict, code, detail)
}

/// Later, perhaps.
#[must_use]
pub fn unavailable(code: &str, detail: impl Into<String>) -> RpcError {
    refusal(ErrorKind::Unavailable, code, detail)
}

/// A fault of ours. The detail is seen by users: no internals.
#[must_use]
pub fn internal(code: &str, detail: impl Into<String>) -> RpcError {
    refusal(ErrorKind::Internal, code, detail)
}
