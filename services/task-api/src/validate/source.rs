//! Sources.

use std::ops::RangeInclusive;

use rowcast_proto::rest::{CreateSource, PatchSource};

use super::{Issues, tags};
use crate::error::ApiError;

/// The longest DNS name; a unix socket's folder is shorter.
const HOST_BYTES_MAX: usize = 255;

const SOURCE_PASSWORD_BYTES: RangeInclusive<usize> = 1..=1024;

/// The wish holds certificates and objects, and a value of its bucket 256 KiB in all.
const CERTIFICATES_BYTES_MAX: usize = 64 * 1024;

/// # Errors
/// Every problem of the body.
pub(crate) fn source(body: &CreateSource) -> Result<(), ApiError> {
    let mut issues = Issues::default();
    source_fields(&mut issues, body);
    issues.finish()
}

/// `merged` is the source as it would be; its password stands for the old one where the body names
/// none.
///
/// # Errors
/// Every problem of the body.
pub(crate) fn source_patch(body: &PatchSource, merged: &CreateSource) -> Result<(), ApiError> {
    let mut issues = Issues::default();
    let elsewhere = [
        ("host", body.host.is_some()),
        ("port", body.port.is_some()),
        ("account", body.account.is_some()),
    ];
    for (field, changes) in elsewhere {
        if changes && body.password.is_none() {
            let detail = "needs the password: it was entered for another server or account";
            issues.note(field, detail, "Give the password too.");
        }
    }
    source_fields(&mut issues, merged);
    issues.finish()
}

fn source_fields(issues: &mut Issues, body: &CreateSource) {
    issues.name("name", &body.name);
    host(issues, &body.host);
    if body.port == 0 {
        let repair = "Give the port that PostgreSQL listens on; its default is 5432.";
        issues.note("port", "must lie between 1 and 65535", repair);
    }
    issues.identifier("database", &body.database);
    issues.identifier("account", &body.account);
    if !SOURCE_PASSWORD_BYTES.contains(&body.password.len()) || body.password.contains('\0') {
        let detail = "must have 1 to 1024 bytes, none of them NUL";
        issues.note("password", detail, "Give the password of the account.");
    }
    if let Some(certificates) = &body.sslrootcert {
        if !certificates.contains("-----BEGIN CERTIFICATE-----") {
            let repair = "Give the text of the authority's .pem or .crt file, or leave it out.";
            issues.note("sslrootcert", "holds no certificate in PEM", repair);
        } else if certificates.len() > CERTIFICATES_BYTES_MAX {
            let repair = "Give only the authority that signed the server's certificate.";
            issues.note("sslrootcert", "is longer than 64 KiB", repair);
        }
    }
    for (field, text) in [("region", &body.region), ("instance_id", &body.instance_id)] {
        if let Some(text) = text {
            issues.name(field, text);
        }
    }
    tags::tags(issues, &body.tags);
    if let Some(name) = &body.resource_group {
        tags::resource_group(issues, name, false);
    }
}

fn host(issues: &mut Issues, host: &str) {
    let is_folder = host.starts_with('/');
    let strange =
        |c: char| c.is_control() || (!is_folder && (c.is_whitespace() || "/@,".contains(c)));
    if host.is_empty() || host.len() > HOST_BYTES_MAX || host.contains(strange) {
        let detail = "must be one DNS name, one address, or the folder of a unix socket";
        issues.note(
            "host",
            detail,
            "Give the host alone, without scheme, port or database.",
        );
    }
}
