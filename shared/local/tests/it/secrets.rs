//! `docker/make-secrets.sh` makes what [`Credentials`] makes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use nkeys::{KeyPair, KeyPairType};
use rowcast_local::credentials::{Credentials, NATS_USERS};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docker/make-secrets.sh");

fn make(folder: &Path) -> BTreeMap<String, String> {
    let status = Command::new("sh").arg(SCRIPT).arg(folder).status();
    assert!(status.unwrap().success());
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect()
}

#[test]
fn the_script_makes_every_secret_once() {
    let folder = tempfile::tempdir().unwrap();
    let made = make(folder.path());
    for user in NATS_USERS {
        assert!(made[&format!("nats-{user}")].starts_with('p'), "{user}");
    }
    assert_eq!(make(folder.path()), made);
}

#[test]
fn the_issuer_is_the_public_part_of_the_seed() {
    // Several, for the bytes that a shell could mistake: zero, line end, percent sign.
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let made = make(folder.path());
        let key = KeyPair::from_seed(made["callout-seed"].trim_end()).unwrap();
        assert_eq!(key.key_pair_type(), KeyPairType::Account);
        assert_eq!(made["callout-issuer"].trim_end(), key.public_key());
        let credentials = Credentials::open(folder.path()).unwrap();
        assert_eq!(credentials.callout_issuer().unwrap(), key.public_key());
    }
}
