//! Which certificates a connection trusts.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, DigitallySignedStruct, InconsistentKeys, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::Error;
use crate::connect::{ClientCertificate, ConnectOptions, SslMode};

/// What a certificate is held against.
#[derive(Debug)]
enum Trust {
    /// Any certificate will do; the handshake still proves that the server owns the one it shows,
    /// so that channel binding means something.
    Anyone,
    /// The certificate is one of the given ones or descends from them.
    Chain(Anchors),
    /// And it is issued for the name dialled.
    ChainAndName(Anchors),
}

#[derive(Debug)]
struct Anchors {
    roots: RootCertStore,
    /// The given certificates themselves: a self-signed server certificate is no authority, so it
    /// cannot vouch for itself as a root, but it can be recognised.
    given: Vec<CertificateDer<'static>>,
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Whether a finished handshake tells who the server is.
///
/// Roots that the user gives vouch for their own servers; the system's vouch for anybody who owns
/// a name, so there the name has to be checked as well.
pub(crate) fn identifies_server(options: &ConnectOptions) -> bool {
    match options.ssl_mode {
        SslMode::Disable | SslMode::Allow | SslMode::Prefer => false,
        SslMode::Require | SslMode::VerifyCa => options.ssl_root_cert.is_some(),
        SslMode::VerifyFull => true,
    }
}

/// The TLS configuration for `options`, on ring whatever the process's default provider is.
pub(crate) async fn client_config(options: &ConnectOptions) -> Result<ClientConfig, Error> {
    let trust = match (options.ssl_mode, &options.ssl_root_cert) {
        (SslMode::Disable | SslMode::Allow | SslMode::Prefer, _) | (SslMode::Require, None) => {
            Trust::Anyone
        }
        (SslMode::Require, Some(pem)) => Trust::Chain(given_anchors(pem)?),
        (SslMode::VerifyCa, pem) => Trust::Chain(anchors(pem.as_deref()).await?),
        (SslMode::VerifyFull, pem) => Trust::ChainAndName(anchors(pem.as_deref()).await?),
    };
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier {
        trust,
        algorithms: provider.signature_verification_algorithms,
    };
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Tls(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    match &options.client_certificate {
        None => Ok(config.with_no_client_auth()),
        Some(certificate) => {
            let shown = Arc::new(SingleCertAndKey::from(certified(certificate, &provider)?));
            Ok(config.with_client_cert_resolver(shown))
        }
    }
}

/// The certificate to show, with the key that proves that it is ours.
fn certified(
    certificate: &ClientCertificate,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, Error> {
    let unusable = |what: &str, error: &dyn std::fmt::Display| {
        Error::Tls(format!(
            "the client certificate cannot be used: {what}: {error}"
        ))
    };
    let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable("it is not PEM", &error))?;
    let key = PrivateKeyDer::from_pem_slice(certificate.key.expose().as_bytes())
        .map_err(|error| unusable("its key is not PEM without a passphrase", &error))?;
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|error| unusable("its key", &error))?;
    let certified = CertifiedKey::new(chain, key);
    // Other errors say that rustls cannot read the certificate, as one of X.509 version 1: the server
    // may.
    if let Err(error @ rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) =
        certified.keys_match()
    {
        return Err(unusable("the key is another's", &error));
    }
    Ok(certified)
}

/// The server's refusal of our certificate, which TLS 1.3 tells only behind the handshake (RFC 8446,
/// section 4.4.2): to what is read first.
pub(crate) fn refusal(error: &std::io::Error) -> Option<Error> {
    use rustls::AlertDescription as A;
    const OF_CERTIFICATES: [A; 9] = [
        A::BadCertificate,
        A::UnsupportedCertificate,
        A::CertificateRevoked,
        A::CertificateExpired,
        A::CertificateUnknown,
        A::UnknownCA,
        A::AccessDenied,
        A::DecryptError,
        A::CertificateRequired,
    ];
    let rustls::Error::AlertReceived(alert) = error.get_ref()?.downcast_ref()? else {
        return None;
    };
    let refusal = || {
        Error::Tls(format!(
            "the server refuses the client certificate: {alert:?}"
        ))
    };
    OF_CERTIFICATES.contains(alert).then(refusal)
}

/// Why a handshake failed, in the words of rustls.
pub(crate) fn handshake_error(error: &rustls::Error) -> Error {
    Error::Tls(error.to_string())
}

async fn anchors(pem: Option<&str>) -> Result<Anchors, Error> {
    match pem {
        Some(pem) => given_anchors(pem),
        None => system_anchors().await,
    }
}

fn given_anchors(pem: &str) -> Result<Anchors, Error> {
    let given = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::Tls(format!("the root certificate is not PEM: {error}")))?;
    if given.is_empty() {
        return Err(Error::Tls(
            "the root certificate holds no certificate".to_owned(),
        ));
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(given.iter().cloned());
    Ok(Anchors { roots, given })
}

async fn system_anchors() -> Result<Anchors, Error> {
    let loaded = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs)
        .await
        .map_err(|error| Error::Tls(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(loaded.certs);
    if roots.is_empty() {
        let causes: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
        return Err(Error::Tls(format!(
            "this machine has no root certificates {}",
            causes.join("; ")
        )));
    }
    Ok(Anchors {
        roots,
        given: Vec::new(),
    })
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let (anchors, name) = match &self.trust {
            Trust::Anyone => return Ok(ServerCertVerified::assertion()),
            Trust::Chain(anchors) => (anchors, None),
            Trust::ChainAndName(anchors) => (anchors, Some(server_name)),
        };
        let certificate = ParsedCertificate::try_from(end_entity)?;
        if !anchors.given.contains(end_entity) {
            verify_server_cert_signed_by_trust_anchor(
                &certificate,
                &anchors.roots,
                intermediates,
                now,
                self.algorithms.all,
            )?;
        }
        if let Some(name) = name {
            verify_server_name(&certificate, name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
