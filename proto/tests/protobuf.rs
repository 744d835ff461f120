//! The protobuf form of a task's messages, held to its samples in `golden/protobuf/`: each is a message of
//! `golden/change/`, as another library wrote it, in hexadecimal.

#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that fails fails the test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use prost::Message as _;
use rowcast_proto::change::{Change, protobuf};

/// A field that no version has, of the number 1000.
const UNKNOWN: [u8; 3] = [0xC0, 0x3E, 7];

fn golden(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(folder)
}

/// Names of the samples of changes in a folder, without the ending.
fn samples(folder: &str) -> BTreeSet<String> {
    let names = fs::read_dir(golden(folder)).unwrap();
    names
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("Change."))
        .map(|name| name.rsplit_once('.').unwrap().0.to_owned())
        .collect()
}

#[test]
fn every_sample_is_read_as_its_json_and_written_again() {
    assert_eq!(samples("protobuf"), samples("change"));
    for name in samples("protobuf") {
        let text = fs::read_to_string(golden("protobuf").join(format!("{name}.hex"))).unwrap();
        let mut sample = HEXLOWER.decode(text.replace('\n', "").as_bytes()).unwrap();
        let json = fs::read(golden("change").join(format!("{name}.json"))).unwrap();
        let expected = Change::read(&json).unwrap();
        assert_eq!(Change::read(&sample).unwrap(), expected, "{name}");
        let again = protobuf::Change::decode(sample.as_slice()).unwrap();
        assert_eq!(
            again.encode_to_vec(),
            sample,
            "{name} is written in another form"
        );
        sample.extend_from_slice(&UNKNOWN);
        assert_eq!(
            Change::read(&sample).unwrap(),
            expected,
            "{name} with an unknown field"
        );
    }
}

#[test]
fn what_is_neither_is_refused() {
    for payload in [&b""[..], b"{", b"{}", b"hello", b"\x0a\xff"] {
        let read = Change::read(payload);
        assert!(read.is_err(), "{read:?}");
    }
}
