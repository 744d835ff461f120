//! A server whose certificate a private authority has signed, and which asks clients for one.

use std::path::Path;

use rowcast_client::{Error, Subscription};
use rowcast_testkit::openssl;
use tempfile::TempDir;

use crate::fixture::{Group, ordinals};

const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

/// A certificate authority in a folder of its own.
fn authority() -> anyhow::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let make = format!("req -x509 {KEY} -keyout ca.key -out ca.crt -subj /CN=ca -days 2");
    openssl(folder.path(), &make);
    Ok(folder)
}

/// A certificate and its key, with this extension.
fn issue(authority: &Path, name: &str, extension: &str) {
    let wish = format!(
        "req -new {KEY} -keyout {name}.key -out {name}.csr -subj /CN={name} -addext {extension}"
    );
    openssl(authority, &wish);
    let sign = format!(
        "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2
         -copy_extensions copy -out {name}.crt"
    );
    openssl(authority, &sign);
}

/// From now on the group's server speaks TLS. It asks clients for a certificate of the authority where `verify` says so.
async fn restart(group: &mut Group, authority: &Path, verify: bool) -> anyhow::Result<()> {
    let folder = authority.display();
    let overrides = format!(
        "tls {{ cert_file: \"{folder}/server.crt\", key_file: \"{folder}/server.key\", \
         ca_file: \"{folder}/ca.crt\", verify: {verify} }}"
    );
    group.nats.restart_with(&overrides).await
}

fn is_unreachable(connected: &Result<Subscription, Error>) {
    assert!(
        matches!(connected, Err(Error::Unreachable(_))),
        "{connected:?}"
    );
}

#[tokio::test]
async fn a_private_authority_is_trusted_where_it_is_named_and_no_other() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    group.publish(2).await?;
    let (ours, other) = (authority()?, authority()?);
    issue(ours.path(), "server", "subjectAltName=IP:127.0.0.1");
    restart(&mut group, ours.path(), false).await?;
    is_unreachable(&group.subscribe().await);
    let credentials = group.credentials.clone();
    let trusting = |file: std::path::PathBuf| credentials.clone().with_root_certificates(file);
    is_unreachable(&Subscription::connect(trusting(other.path().join("ca.crt"))).await);
    is_unreachable(&Subscription::connect(trusting(ours.path().join("nothing.crt"))).await);
    let mut changes = Subscription::connect(trusting(ours.path().join("ca.crt"))).await?;
    assert_eq!(ordinals(&mut changes, 2).await?, [1, 2]);
    Ok(())
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_is_shown_it() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    group.publish(2).await?;
    let ours = authority()?;
    let file = |name: &str| ours.path().join(name);
    issue(ours.path(), "server", "subjectAltName=IP:127.0.0.1");
    issue(ours.path(), "member", "extendedKeyUsage=clientAuth");
    restart(&mut group, ours.path(), true).await?;
    let trusting = group.credentials.clone();
    let trusting = trusting.with_root_certificates(file("ca.crt"));
    is_unreachable(&Subscription::connect(trusting.clone()).await);
    let shown = trusting.with_client_certificate(file("member.crt"), file("member.key"));
    let mut changes = Subscription::connect(shown).await?;
    assert_eq!(ordinals(&mut changes, 2).await?, [1, 2]);
    Ok(())
}

#[tokio::test]
async fn whoever_names_an_authority_sends_no_password_in_the_clear() -> anyhow::Result<()> {
    let group = Group::start().await?;
    let ours = authority()?;
    let credentials = group.credentials.clone();
    let credentials = credentials.with_root_certificates(ours.path().join("ca.crt"));
    is_unreachable(&Subscription::connect(credentials).await);
    Ok(())
}
