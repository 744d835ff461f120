//! Contacts. Whether a URL leads to where webhooks may be, alerting tells.

use std::ops::RangeInclusive;

use rowcast_proto::rest::{CreateContact, PatchContact};

use super::{Issues, tags};
use crate::error::ApiError;

/// Shorter ones are guessed.
const SECRET_CHARACTERS: RangeInclusive<usize> = 16..=256;

/// # Errors
/// Every problem of the body.
pub(crate) fn contact(body: &CreateContact) -> Result<(), ApiError> {
    let mut issues = Issues::default();
    issues.name("name", &body.name);
    secret(&mut issues, &body.secret);
    if let Some(name) = &body.resource_group {
        tags::resource_group(&mut issues, name, false);
    }
    issues.finish()
}

/// # Errors
/// Every problem of the body.
pub(crate) fn contact_patch(body: &PatchContact) -> Result<(), ApiError> {
    let mut issues = Issues::default();
    if let Some(name) = &body.name {
        issues.name("name", name);
    }
    if let Some(text) = &body.secret {
        secret(&mut issues, text);
    }
    if let Some(name) = &body.resource_group {
        tags::resource_group(&mut issues, name, true);
    }
    issues.finish()
}

fn secret(issues: &mut Issues, secret: &str) {
    let is_printable = secret.bytes().all(|byte| (b'!'..=b'~').contains(&byte));
    if !SECRET_CHARACTERS.contains(&secret.len()) || !is_printable {
        let detail = "must have 16 to 256 printable ASCII characters, none of them a space";
        issues.note("secret", detail, "Make one with `openssl rand -hex 32`.");
    }
}
