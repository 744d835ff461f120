//! From the question to the server that it is about.

use std::time::Duration;

use rowcast_domain::Secret;
use rowcast_pg::{ClientCertificate, ConnectOptions, Networks};
use rowcast_proto::message::{SealedSecret, SourceConnection};
use rowcast_service::keyring::{self, Keyring, Sealed};

use crate::error::Error;

/// Longer than any healthy login takes, and short enough to be told apart from a slow check.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What a source is reached with.
#[derive(Debug)]
pub(crate) struct Access {
    /// Opens its secrets.
    pub(crate) keyring: Keyring,
    /// Where it may be.
    pub(crate) networks: Networks,
}

/// Where to connect; the secrets are opened here.
pub(crate) fn connect_options(
    access: &Access,
    source: SourceConnection,
) -> Result<ConnectOptions, Error> {
    for (field, value) in [
        ("source.host", &source.host),
        ("source.database", &source.database),
        ("source.account", &source.account),
    ] {
        if value.is_empty() {
            return Err(Error::Missing(field));
        }
    }
    let port = u16::try_from(source.port).ok().filter(|port| *port > 0);
    let open = |sealed: SealedSecret, aad: &str| {
        let sealed = Sealed {
            key_id: sealed.key_id,
            nonce: sealed.nonce,
            ciphertext: sealed.ciphertext,
        };
        access.keyring.open(&sealed, aad)
    };
    let password = match source.password {
        Some(sealed) => open(sealed, &keyring::source_password(&source.source_id))?,
        // The server may ask for none.
        None => Secret::new(""),
    };
    let client_certificate = match source.sslkey {
        Some(sealed) => Some(ClientCertificate {
            chain: source.sslcert,
            key: open(sealed, &keyring::source_key(&source.source_id))?,
        }),
        None => None,
    };
    Ok(ConnectOptions {
        host: source.host,
        port: port.ok_or(Error::Port(source.port))?,
        database: source.database,
        user: source.account,
        password,
        ssl_mode: source.sslmode.parse()?,
        ssl_root_cert: Some(source.sslrootcert).filter(|pem| !pem.is_empty()),
        client_certificate,
        networks: access.networks.clone(),
        application_name: "rowcast-precheck".to_owned(),
        connect_timeout: CONNECT_TIMEOUT,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        Access {
            keyring: Keyring::from_secret(&Secret::new("a".repeat(64))).unwrap(),
            networks: Networks::default(),
        }
    }

    fn source() -> SourceConnection {
        let sealed = access()
            .keyring
            .seal(&Secret::new("hunter2"), "source-password/s1")
            .unwrap();
        SourceConnection {
            source_id: "s1".to_owned(),
            host: "db.example.com".to_owned(),
            port: 5432,
            database: "shop".to_owned(),
            account: "rowcast".to_owned(),
            password: Some(SealedSecret {
                key_id: sealed.key_id,
                nonce: sealed.nonce,
                ciphertext: sealed.ciphertext,
            }),
            sslmode: "prefer".to_owned(),
            ..SourceConnection::default()
        }
    }

    #[test]
    fn the_password_opens_for_its_own_source_only() {
        let options = connect_options(&access(), source()).unwrap();
        assert_eq!(options.password.expose(), "hunter2");
        assert_eq!(options.ssl_root_cert, None);
        let stolen = SourceConnection {
            source_id: "s2".to_owned(),
            ..source()
        };
        let error = connect_options(&access(), stolen).unwrap_err();
        assert!(matches!(error, Error::Password(_)), "{error}");
    }

    #[test]
    fn bad_values_are_named() {
        let port = SourceConnection {
            port: 70_000,
            ..source()
        };
        assert!(matches!(
            connect_options(&access(), port),
            Err(Error::Port(70_000))
        ));
        let mode = SourceConnection {
            sslmode: "maybe".to_owned(),
            ..source()
        };
        assert!(matches!(
            connect_options(&access(), mode),
            Err(Error::SslMode(_))
        ));
        let host = SourceConnection {
            host: String::new(),
            ..source()
        };
        assert!(matches!(
            connect_options(&access(), host),
            Err(Error::Missing("source.host"))
        ));
    }
}
