//! Tells a webhook, signed, and only where webhooks may be.

use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};
use ring::hmac;
use rowcast_domain::{DeliveryId, Secret};
use rowcast_pg::Networks;

/// How long a webhook may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A URL is no longer.
const URL_MAX: usize = 2048;

/// A webhook was not told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It is no address of a webhook.
    #[error("the URL {0}")]
    Url(&'static str),
    /// Its name leads nowhere.
    #[error("the host {host} was not found: {source}")]
    NotFound {
        host: String,
        source: std::io::Error,
    },
    /// No webhook may be there.
    #[error("the host {0} leads to no address where a webhook may be")]
    Forbidden(String),
    /// It did not answer.
    #[error("it did not answer: {0}")]
    Silent(String),
    /// It did not take it.
    #[error("it answered {0}")]
    Answered(StatusCode),
}

/// Reads the address of a webhook.
///
/// # Errors
/// Where it is none.
pub(crate) fn parse(url: &str) -> Result<Url, Error> {
    if url.len() > URL_MAX {
        return Err(Error::Url("is longer than 2048 characters"));
    }
    let url = Url::parse(url).map_err(|_no_url| Error::Url("cannot be read"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(Error::Url(
            "must begin with https:// or http:// and name a host",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::Url("must hold no user and no password"));
    }
    Ok(url)
}

/// Looks the host up, once: what is dialled is what was judged.
///
/// # Errors
/// Where it leads nowhere, or only to where no webhook may be.
pub(crate) async fn look_up(networks: &Networks, url: &Url) -> Result<Vec<SocketAddr>, Error> {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let port = url.port_or_known_default().unwrap_or_default();
    let found = tokio::time::timeout(TIMEOUT, tokio::net::lookup_host((bare, port))).await;
    let found = found.map_err(|_elapsed| std::io::ErrorKind::TimedOut.into());
    let found = found.flatten().map_err(|source| Error::NotFound {
        host: host.to_owned(),
        source,
    })?;
    let allowed: Vec<SocketAddr> = found.filter(|found| networks.allow(found.ip())).collect();
    if allowed.is_empty() {
        return Err(Error::Forbidden(host.to_owned()));
    }
    Ok(allowed)
}

/// Tells it, and takes any answer but success for a failure, redirections included.
///
/// # Errors
/// Where it was not told, or has not said that it was.
pub(crate) async fn send(
    networks: &Networks,
    url: &str,
    secret: &Secret,
    id: &DeliveryId,
    body: &str,
) -> Result<(), Error> {
    let url = parse(url)?;
    let addresses = look_up(networks, &url).await?;
    let client = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(Policy::none())
        .no_proxy()
        .resolve_to_addrs(url.host_str().unwrap_or_default(), &addresses)
        .build()
        .map_err(silent)?;
    let timestamp = Utc::now();
    let answer = client
        .post(url)
        .header("Content-Type", "application/json")
        .header("Rowcast-Delivery", id.as_str())
        .header("Rowcast-Timestamp", timestamp.timestamp())
        .header("Rowcast-Signature", signature(secret, timestamp, body))
        .body(body.to_owned())
        .send()
        .await
        .map_err(silent)?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(Error::Answered(status)),
    }
}

/// The innermost cause; the outer ones say the URL, which may hold a secret of its own.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn silent(error: reqwest::Error) -> Error {
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Error::Silent(cause.to_string())
}

/// Of the time too, so that what was told once cannot be told again later by somebody else.
fn signature(secret: &Secret, timestamp: DateTime<Utc>, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let signed = format!("{}.{body}", timestamp.timestamp());
    let tag = hmac::sign(&key, signed.as_bytes());
    format!("v1={}", HEXLOWER.encode(tag.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_openssl_says() {
        // printf '1800000000.{}' | openssl dgst -sha256 -hmac secret
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        assert_eq!(
            signature(&Secret::new("secret"), at, "{}"),
            "v1=bb7079132825ac793cea8c013c1dd24d926b9b02132245b10588d9e5c0df70d7"
        );
    }

    #[test]
    fn what_is_no_address_of_a_webhook_is_named() {
        assert!(parse("https://hooks.example.com/a?b=c").is_ok());
        for (url, said) in [
            ("hooks.example.com", "cannot be read"),
            ("ftp://hooks.example.com", "https://"),
            ("https://ada:pw@hooks.example.com", "no user"),
        ] {
            let error = parse(url).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert!(parse(&format!("https://h/{}", "a".repeat(2048))).is_err());
    }

    #[tokio::test]
    async fn metadata_is_not_reached_in_whatever_spelling() {
        for url in [
            "http://169.254.169.254/latest/meta-data",
            "http://0xA9FEA9FE/",
            "http://2852039166/",
            "http://[::ffff:169.254.169.254]/",
            "http://[fd00:ec2::254]/",
        ] {
            let url = parse(url).unwrap();
            let refused = look_up(&Networks::default(), &url).await;
            assert!(
                matches!(refused, Err(Error::Forbidden(_))),
                "{url}: {refused:?}"
            );
        }
    }
}
