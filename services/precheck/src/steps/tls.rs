//! Is the connection as safe as `sslmode` asks for?

use rowcast_pg::transport::{self, Dialled, Transport};
use rowcast_pg::{ConnectOptions, Error, SslMode};

use super::Taken;
use crate::checks::Rule;
use crate::diagnosis::tls::switch_on;
use crate::finding::Finding;

pub(super) const RULE: Rule = Rule {
    code: "tls",
    title: "TLS is what sslmode asks for",
    ran: "SSLRequest, TLS handshake",
};

pub(super) async fn take(
    options: &ConnectOptions,
    dialled: Dialled,
) -> Result<Taken<Transport>, Error> {
    let transport = transport::secure(options, dialled).await?;
    let finding = judge(
        options,
        transport.tls_version().as_deref(),
        transport.peer_is_known(),
    );
    Ok(Taken::on(transport, finding))
}

fn judge(options: &ConnectOptions, version: Option<&str>, peer_is_known: bool) -> Finding {
    let mode = options.ssl_mode;
    match (version, peer_is_known) {
        (Some(version), true) => Finding::pass(format!("{version}, the server is known")),
        (Some(version), false) => Finding::alert(
            format!("{version}, the server's certificate was not verified"),
            format!("With sslmode {mode} somebody else could stand in for the server."),
            "Give the authority's certificate as sslrootcert, and sslmode verify-full.",
        ),
        (None, _) if mode == SslMode::Disable => {
            Finding::skipped("sslmode is disable: TLS was not asked for.")
        }
        (None, true) => Finding::pass("no TLS, on this machine"),
        (None, false) if mode == SslMode::Allow => Finding::alert(
            "no TLS yet",
            "sslmode allow goes without TLS wherever the server lets it: rows travel in clear.",
            "Give the authority's certificate as sslrootcert, and sslmode verify-full.\nOr at least:\nsslmode = require",
        ),
        (None, false) => Finding::alert(
            "no TLS",
            format!(
                "The server offers none, and sslmode {mode} goes on without: rows travel in clear."
            ),
            switch_on(options),
        ),
    }
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;
    use crate::diagnosis::tests::options;

    #[test]
    fn what_is_not_verified_or_not_encrypted_is_worth_knowing() {
        let of = |ssl_mode, version, known| {
            let options = ConnectOptions {
                ssl_mode,
                ..options()
            };
            judge(&options, version, known).outcome
        };
        let (pass, alert) = (CheckOutcome::Pass, CheckOutcome::Alert);
        assert_eq!(of(SslMode::VerifyFull, Some("TLSv1_3"), true), pass);
        assert_eq!(of(SslMode::Require, Some("TLSv1_3"), false), alert);
        assert_eq!(of(SslMode::Prefer, None, false), alert);
        assert_eq!(of(SslMode::Prefer, None, true), pass);
        assert_eq!(of(SslMode::Allow, None, false), alert);
        assert_eq!(of(SslMode::Disable, None, false), CheckOutcome::Skipped);
    }
}
