//! Contacts. Whether a URL leads to where webhooks may be, alerting tells.

use std::ops::RangeInclusive;

use rowcast_proto::rest::{ContactKind, CreateContact, PatchContact};

use super::{Issues, tags};
use crate::error::ApiError;

/// Shorter ones are guessed.
const SECRET_CHARACTERS: RangeInclusive<usize> = 16..=256;

/// # Errors
/// Every problem of the body.
pub(crate) fn contact(body: &CreateContact) -> Result<(), ApiError> {
    let mut issues = Issues::default();
    issues.name("name", &body.name);
    match body.kind {
        ContactKind::Webhook => {
            issues.given("url", body.url.as_ref());
            issues.given("secret", body.secret.as_ref());
        }
        ContactKind::Email => issues.given("address", body.address.as_ref()),
    }
    let wanted = [&body.url, &body.secret, &body.address].map(Option::as_deref);
    of_kind(&mut issues, body.kind, wanted);
    if let Some(name) = &body.resource_group {
        tags::resource_group(&mut issues, name, false);
    }
    issues.finish()
}

/// # Errors
/// Every problem of the body.
pub(crate) fn contact_patch(body: &PatchContact, kind: ContactKind) -> Result<(), ApiError> {
    let mut issues = Issues::default();
    if let Some(name) = &body.name {
        issues.name("name", name);
    }
    let wanted = [&body.url, &body.secret, &body.address].map(Option::as_deref);
    of_kind(&mut issues, kind, wanted);
    if let Some(name) = &body.resource_group {
        tags::resource_group(&mut issues, name, true);
    }
    issues.finish()
}

/// What a contact of this kind has not is not given, and what it has holds something.
fn of_kind(issues: &mut Issues, kind: ContactKind, [url, secret, address]: [Option<&str>; 3]) {
    let is_mail = match kind {
        ContactKind::Webhook => false,
        ContactKind::Email => true,
    };
    for (field, given, belongs) in [
        ("url", url, !is_mail),
        ("secret", secret, !is_mail),
        ("address", address, is_mail),
    ] {
        if given.is_some() && !belongs {
            let detail = "does not belong to a contact of this kind";
            issues.note(field, detail, "Leave it out.");
        }
    }
    for (field, given) in [("url", url), ("address", address)] {
        if given.is_some_and(str::is_empty) {
            issues.note(field, "is empty", "Say where it is told.");
        }
    }
    if let Some(text) = secret {
        self::secret(issues, text);
    }
}

impl Issues {
    /// What this kind of contact cannot be without.
    fn given(&mut self, field: &str, given: Option<&String>) {
        if given.is_none() {
            self.note(field, "is missing", "Give it.");
        }
    }
}

fn secret(issues: &mut Issues, secret: &str) {
    let is_printable = secret.bytes().all(|byte| (b'!'..=b'~').contains(&byte));
    if !SECRET_CHARACTERS.contains(&secret.len()) || !is_printable {
        let detail = "must have 16 to 256 printable ASCII characters, none of them a space";
        issues.note("secret", detail, "Make one with `openssl rand -hex 32`.");
    }
}
