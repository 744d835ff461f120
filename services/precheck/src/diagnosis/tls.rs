//! TLS that is not what `sslmode` or the server asks for.

use std::net::IpAddr;

use rowcast_pg::{ConnectOptions, SslMode, connect};

use super::Diagnosis;
use crate::literal;

/// Whether the server that refuses a login without TLS lets one in with it.
pub(super) async fn is_required(options: &ConnectOptions) -> bool {
    if options.ssl_mode != SslMode::Disable {
        return false;
    }
    let with_tls = ConnectOptions {
        ssl_mode: SslMode::Require,
        ssl_root_cert: None,
        ..options.clone()
    };
    match connect(&with_tls).await {
        Ok(_session) => true,
        Err(error) => error.sqlstate() == Some(super::PASSWORD_WRONG),
    }
}

/// `pg_hba.conf` has lines for the role, but with TLS only (`hostssl`).
pub(super) fn required(options: &ConnectOptions) -> Diagnosis {
    Diagnosis::new(
        "tls_required",
        format!(
            "The server lets {} log in over TLS only, and sslmode is {}.",
            options.user, options.ssl_mode
        ),
        "Set the source's sslmode to verify-full, with the certificate of the authority that has signed the server's as \
         sslrootcert.\nOr, without proof of who the server is:\nsslmode = require",
    )
}

/// The server has no TLS.
pub(super) fn missing(options: &ConnectOptions) -> Diagnosis {
    Diagnosis::new(
        "tls",
        format!(
            "The server has no TLS, and sslmode is {}.",
            options.ssl_mode
        ),
        format!(
            "{}\nOr, where nobody can listen on the way, set at the source:\nsslmode = disable",
            switch_on(options)
        ),
    )
}

/// What gives a server TLS (PostgreSQL docs, "Creating Certificates").
pub(crate) fn switch_on(options: &ConnectOptions) -> String {
    let host = &options.host;
    let kind = match host.parse::<IpAddr>() {
        Ok(_address) => "IP",
        Err(_name) => "DNS",
    };
    let trust = match options.ssl_mode {
        SslMode::VerifyCa | SslMode::VerifyFull => {
            "\nAnd give server.crt to the source as sslrootcert."
        }
        SslMode::Disable | SslMode::Allow | SslMode::Prefer | SslMode::Require => "",
    };
    format!(
        "Switch TLS on at the server. In its data directory, as the account that it runs as, put server.crt and \
         server.key of an authority of yours, or make them:\n\
         openssl req -new -x509 -days 3650 -nodes -subj /CN={host} -addext subjectAltName={kind}:{host} -out server.crt \
         -keyout server.key\n\
         chmod 600 server.key\n\
         Then run:\n{}{trust}",
        literal::set("ssl", "on")
    )
}

/// The handshake has failed; the words are those of rustls.
pub(super) fn failed(text: &str, options: &ConnectOptions) -> Diagnosis {
    let ConnectOptions {
        host,
        ssl_mode,
        ssl_root_cert,
        user,
        ..
    } = options;
    let is_of_client = text.contains("client certificate");
    if is_of_client {
        return Diagnosis::new(
            "tls",
            format!("The client certificate will not do: {text}."),
            format!(
                "Put the certificate of the authority that has signed it into the server's data directory as root.crt, \
                 have it issued to {user} as its common name (CN), and run:\n{}",
                literal::set("ssl_ca_file", "'root.crt'")
            ),
        );
    }
    if text.contains("UnknownIssuer") || text.contains("CaUsedAsEndEntity") {
        let by = match ssl_root_cert {
            Some(_) => "the authority that was given as sslrootcert",
            None => "an authority that this machine trusts",
        };
        return Diagnosis::new(
            "tls",
            format!("The server's certificate was not signed by {by}."),
            "Give the certificate of the authority that has signed it as the source's sslrootcert; of a self-signed one that \
             is the server's own, which SHOW ssl_cert_file; names.\nOr, without proof of who the server is, leave \
             sslrootcert out and set at the source:\nsslmode = require",
        );
    }
    if text.contains("not valid for name") {
        return Diagnosis::new(
            "tls",
            format!("The server's certificate is not for {host}."),
            format!(
                "Give a host that the certificate names, or have one issued for {host}.\nOr, where any server of that \
                 authority will do, set at the source:\nsslmode = verify-ca"
            ),
        );
    }
    if text.contains("expired") {
        return Diagnosis::new(
            "tls",
            "The server's certificate has expired.",
            "Put a new one in its place, and run:\nSELECT pg_reload_conf();",
        );
    }
    Diagnosis::new(
        "tls",
        format!("The connection does not reach what sslmode {ssl_mode} asks for."),
        format!(
            "Give the certificate of the authority that has signed the server's as sslrootcert, or choose a weaker \
             sslmode.\n{}",
            switch_on(options)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::options;
    use super::*;

    #[test]
    fn each_failure_of_the_handshake_has_its_own_repair() {
        let cause = |text: &str| failed(text, &options()).cause;
        let repair = |text: &str| failed(text, &options()).repair;
        let unknown = "invalid peer certificate: UnknownIssuer";
        assert!(cause(unknown).contains("this machine trusts"));
        assert!(repair(unknown).ends_with("\nsslmode = require"));
        let other = "invalid peer certificate: certificate not valid for name \"db.example.com\"";
        assert!(cause(other).ends_with("not for db.example.com."));
        assert!(repair(other).ends_with("\nsslmode = verify-ca"));
        assert!(
            repair("the server refuses the client certificate: UnknownCA").contains("root.crt")
        );
        assert!(cause("invalid peer certificate: certificate expired").contains("expired"));
    }

    #[test]
    fn a_certificate_is_made_for_the_host_that_is_dialled() {
        let made = switch_on(&options());
        assert!(
            made.contains("subjectAltName=DNS:db.example.com "),
            "{made}"
        );
        assert!(made.ends_with("sslrootcert."), "{made}");
        let mut by_address = options();
        by_address.host = "10.0.0.5".to_owned();
        by_address.ssl_mode = SslMode::Require;
        let made = switch_on(&by_address);
        assert!(made.contains("subjectAltName=IP:10.0.0.5 "), "{made}");
        assert!(made.ends_with("SELECT pg_reload_conf();"), "{made}");
    }
}
