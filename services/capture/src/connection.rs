//! How to reach a task's source.

use std::time::Duration;

use rowcast_domain::Secret;
use rowcast_pg::{ClientCertificate, ConnectOptions, SslMode};
use rowcast_proto::message::SourceConnection;
use rowcast_service::keyring::{self, Keyring, Sealed};

use crate::error::Error;
use crate::worker::Platform;

/// How long one connection may take to stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// As the source's `pg_stat_activity` and `pg_stat_replication` show us.
const APPLICATION_NAME: &str = "rowcast-capture";

/// Opens the secrets and checks what was given.
///
/// # Errors
/// Where the wish is malformed or the password was sealed for something else.
pub(crate) fn options(
    source: &SourceConnection,
    platform: &Platform,
) -> Result<ConnectOptions, Error> {
    let keyring = &platform.keyring;
    let malformed = |what: &str| Error::MalformedSpec(what.to_owned());
    let sealed = source
        .password
        .as_ref()
        .ok_or_else(|| malformed("the source has no password"))?;
    let ssl_mode: SslMode = source
        .sslmode
        .parse()
        .map_err(|_unknown| malformed("sslmode is none of libpq's"))?;
    let port = u16::try_from(source.port).map_err(|_range| malformed("the port is none"))?;
    let client_certificate = match &source.sslkey {
        Some(sealed) => Some(ClientCertificate {
            chain: source.sslcert.clone(),
            key: open(sealed, keyring, &keyring::source_key(&source.source_id))?,
        }),
        None => None,
    };
    Ok(ConnectOptions {
        host: source.host.clone(),
        port,
        database: source.database.clone(),
        user: source.account.clone(),
        password: open(
            sealed,
            keyring,
            &keyring::source_password(&source.source_id),
        )?,
        ssl_mode,
        ssl_root_cert: Some(source.sslrootcert.clone()).filter(|pem| !pem.is_empty()),
        client_certificate,
        networks: platform.source_networks.clone(),
        application_name: APPLICATION_NAME.to_owned(),
        connect_timeout: CONNECT_TIMEOUT,
    })
}

fn open(
    sealed: &rowcast_proto::message::SealedSecret,
    keyring: &Keyring,
    sealed_for: &str,
) -> Result<Secret, Error> {
    let sealed = Sealed {
        key_id: sealed.key_id.clone(),
        nonce: sealed.nonce.to_vec(),
        ciphertext: sealed.ciphertext.to_vec(),
    };
    keyring
        .open(&sealed, sealed_for)
        .map_err(|error| Error::MalformedSpec(error.to_string()))
}
