//! Sources.

use std::ops::RangeInclusive;

use rowcast_proto::rest::{CreateSource, PatchSource, SslMode};

use super::{Issue, Issues, tags};
use crate::error::ApiError;

/// Most hosts of a cluster.
const HOSTS_MAX: usize = 8;

/// The longest DNS name; a unix socket's folder is shorter.
const HOST_BYTES_MAX: usize = 255;

const SOURCE_PASSWORD_BYTES: RangeInclusive<usize> = 1..=1024;

/// The wish holds certificates and objects, and a value of its bucket 256 KiB in all.
const CERTIFICATES_BYTES_MAX: usize = 64 * 1024;

const CLIENT_PEM_BYTES_MAX: usize = 16 * 1024;

/// Stands for a key that is kept, which was valid when it was entered.
pub(crate) const KEPT_KEY: &str = "-----BEGIN PRIVATE KEY-----";

/// # Errors
/// Every problem of the body.
pub(crate) fn source(body: &CreateSource) -> Result<(), ApiError> {
    let mut issues = Issues::default();
    source_fields(&mut issues, body);
    issues.finish()
}

/// A source that is a part of another body.
pub(super) fn own(issues: &mut Issues, body: &CreateSource) {
    let mut of_source = Issues::default();
    source_fields(&mut of_source, body);
    issues.0.extend(of_source.0.into_iter().map(|issue| Issue {
        field: format!("source.{}", issue.field),
        ..issue
    }));
}

/// `merged` is the source as it would be; its password stands for the old one where that is kept. `elsewhere`
/// are the fields by which the old one could go where it was not entered for.
///
/// # Errors
/// Every problem of the body.
pub(crate) fn source_patch(
    body: &PatchSource,
    merged: &CreateSource,
    elsewhere: &[&str],
) -> Result<(), ApiError> {
    let mut issues = Issues::default();
    let no_certificate = body.sslcert.as_deref().is_none_or(str::is_empty);
    if body.password.is_none() && no_certificate && !elsewhere.is_empty() {
        for field in elsewhere {
            let detail = "needs the password: it was entered for another server, or one that is known better";
            let repair = "Give the password too, or the client certificate with its key.";
            issues.note(field, detail, repair);
        }
        return issues.finish();
    }
    let given = [("sslcert", &body.sslcert), ("sslkey", &body.sslkey)];
    if let [(field, None), (_, Some(_))] | [(_, Some(_)), (field, None)] = given {
        let repair = "Give the client certificate together with its key, or both empty for none.";
        issues.note(field, "is missing", repair);
        return issues.finish();
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
    let needs_none = body.password.is_empty() && body.sslcert.is_some();
    let is_password =
        SOURCE_PASSWORD_BYTES.contains(&body.password.len()) && !body.password.contains('\0');
    if !is_password && !needs_none {
        let detail = "must have 1 to 1024 bytes, none of them NUL";
        let repair = "Give the password of the account, or sslcert and sslkey.";
        issues.note("password", detail, repair);
    }
    client_certificate(issues, body);
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

fn client_certificate(issues: &mut Issues, body: &CreateSource) {
    let (chain, key) = match (&body.sslcert, &body.sslkey) {
        (None, None) => return,
        (Some(chain), Some(key)) => (chain, key),
        (given, _) => {
            let missing = if given.is_some() { "sslkey" } else { "sslcert" };
            let repair = "Give the client certificate together with its key.";
            return issues.note(missing, "is missing", repair);
        }
    };
    if body.sslmode == SslMode::Disable {
        let repair = "Choose verify-full, or leave sslcert and sslkey out.";
        issues.note("sslmode", "a client certificate needs TLS", repair);
    }
    if !chain.contains("-----BEGIN CERTIFICATE-----") {
        let repair = "Give the text of the client's .pem or .crt file.";
        issues.note("sslcert", "holds no certificate in PEM", repair);
    }
    if key.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || key.contains("ENCRYPTED\n") {
        let repair = "Take the passphrase away: openssl pkey -in client.key -out plain.key. Rowcast keeps the key encrypted.";
        issues.note("sslkey", "is protected by a passphrase", repair);
    } else if !key.contains("PRIVATE KEY-----") {
        let repair = "Give the text of the client's .key file.";
        issues.note("sslkey", "holds no private key in PEM", repair);
    }
    for (field, text) in [("sslcert", chain), ("sslkey", key)] {
        if text.len() > CLIENT_PEM_BYTES_MAX {
            issues.note(
                field,
                "is longer than 16 KiB",
                "Give only what belongs to this client.",
            );
        }
    }
}

fn host(issues: &mut Issues, host: &str) {
    let hosts: Vec<&str> = host.split(',').collect();
    if hosts.iter().any(|host| !is_host(host)) {
        let detail = "must be a DNS name, an address, or the folder of a unix socket; or several with commas between";
        issues.note(
            "host",
            detail,
            "Give the host alone, without scheme, port or database.",
        );
    }
    if hosts.len() > HOSTS_MAX {
        issues.note(
            "host",
            "names more than 8 hosts",
            "Name the primary and those that may become it.",
        );
    }
}

fn is_host(host: &str) -> bool {
    let is_folder = host.starts_with('/');
    let strange =
        |c: char| c.is_control() || (!is_folder && (c.is_whitespace() || "/@".contains(c)));
    !host.is_empty() && host.len() <= HOST_BYTES_MAX && !host.contains(strange)
}
