//! Binds a SCRAM login to the TLS connection it runs on (RFC 5929, "tls-server-end-point").
//!
//! The binding is the hash of the server's certificate, by the hash function of the certificate's
//! own signature; SHA-256 stands in for MD5 and SHA-1 (RFC 5929 §4.1).

use ring::digest::{Algorithm, SHA256, SHA384, SHA512, digest};

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// The binding for a certificate; `None` where its signature has no single hash function
/// (Ed25519, RSA-PSS), for which a client logs in without binding.
pub(crate) fn tls_server_end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let algorithm = hash_of(signature_algorithm(certificate)?)?;
    Some(digest(algorithm, certificate).as_ref().to_vec())
}

/// The object identifier in `Certificate.signatureAlgorithm` (RFC 5280 §4.1), as DER content.
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (_to_be_signed, rest) = element(certificate, SEQUENCE)?;
    let (algorithm, _) = element(rest, SEQUENCE)?;
    let (identifier, _) = element(algorithm, OBJECT_IDENTIFIER)?;
    Some(identifier)
}

/// Splits off one DER element: its content, and what follows it.
fn element(input: &[u8], expected_tag: u8) -> Option<(&[u8], &[u8])> {
    let (&tag, rest) = input.split_first()?;
    if tag != expected_tag {
        return None;
    }
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7F);
        if count > 4 {
            return None;
        }
        let (bytes, rest) = rest.split_at_checked(count)?;
        let length = bytes
            .iter()
            .fold(0_usize, |length, byte| (length << 8) | usize::from(*byte));
        (length, rest)
    };
    rest.split_at_checked(length)
}

fn hash_of(signature: &[u8]) -> Option<&'static Algorithm> {
    /// 1.2.840.113549.1.1, the RSA signatures of PKCS #1.
    const PKCS1: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01];
    /// 1.2.840.10045.4, the ECDSA signatures of ANSI X9.62.
    const ECDSA: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04];
    if let Some(kind) = signature.strip_prefix(PKCS1) {
        return match kind {
            [0x04 | 0x05 | 0x0B] => Some(&SHA256),
            [0x0C] => Some(&SHA384),
            [0x0D] => Some(&SHA512),
            _ => None,
        };
    }
    match signature.strip_prefix(ECDSA)? {
        [0x01] | [0x03, 0x02] => Some(&SHA256),
        [0x03, 0x03] => Some(&SHA384),
        [0x03, 0x04] => Some(&SHA512),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate's frame: an empty body, the signature algorithm, no signature.
    fn certificate(oid: &[u8]) -> Vec<u8> {
        let short = |tag: u8, content: &[u8]| {
            let length = u8::try_from(content.len()).unwrap();
            [&[tag, length], content].concat()
        };
        let algorithm = short(SEQUENCE, &short(OBJECT_IDENTIFIER, oid));
        let body = [&[SEQUENCE, 0x81, 0x80][..], &[0; 128], &algorithm].concat();
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&[SEQUENCE, 0x82], &length[..], &body].concat()
    }

    #[test]
    fn the_hash_follows_the_signature() {
        let rsa = |last| [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, last];
        let ecdsa = |last| [0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, last];
        for (oid, bytes) in [
            (rsa(0x05).to_vec(), Some(32)),
            (rsa(0x0B).to_vec(), Some(32)),
            (rsa(0x0C).to_vec(), Some(48)),
            (rsa(0x0D).to_vec(), Some(64)),
            (rsa(0x0A).to_vec(), None),
            (ecdsa(0x02).to_vec(), Some(32)),
            (ecdsa(0x04).to_vec(), Some(64)),
            (vec![0x2B, 0x65, 0x70], None),
        ] {
            let binding = tls_server_end_point(&certificate(&oid));
            assert_eq!(binding.map(|hash| hash.len()), bytes, "{oid:02X?}");
        }
    }

    #[test]
    fn a_certificate_cut_short_has_no_binding() {
        let whole = certificate(&[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02]);
        for end in 0..whole.len() {
            assert_eq!(tls_server_end_point(&whole[..end]), None, "cut at {end}");
        }
    }
}
