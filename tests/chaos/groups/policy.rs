//! A policy by which a group has a stream of its own, and what it leaves of what was written.

use anyhow::ensure;

use super::written::{Done, History, MANY, Row, count};

/// Some keys are left out, of the others some versions, and of each row its body.
pub(super) const POLICY: &str =
    "e_keep(`key` % 10 != 3)\ne_keep(`version` % 5 != 2)\ne_drop_columns(`body`)";

/// Whether the policy keeps a change. Of a deleted row the key alone is known, and it is judged by that.
fn is_kept(key: u64, (_operation, version): &Done) -> bool {
    key % 10 != 3 && version.is_none_or(|version| version % 5 != 2)
}

/// What it leaves of a stream.
pub(super) fn left_of_stream(stream: &[Row]) -> Vec<Row> {
    let kept = |(key, done): &&Row| is_kept(*key, done);
    stream.iter().filter(kept).cloned().collect()
}

/// What it leaves of all that was written.
pub(super) fn left(written: &History) -> History {
    let mut left = History::new();
    for (key, changes) in written {
        let kept = changes.iter().filter(|done| is_kept(*key, done));
        let kept: Vec<Done> = kept.cloned().collect();
        if !kept.is_empty() {
            left.insert(*key, kept);
        }
    }
    left
}

/// Whether it leaves something out, and something not: a run in which it does not proves little.
pub(super) fn is_used(written: &History) -> anyhow::Result<()> {
    let (changes, kept) = (count(written), count(&left(written)));
    eprintln!("the policy keeps {kept} of {changes} changes");
    ensure!(
        changes < MANY || (1..changes).contains(&kept),
        "the policy keeps {kept} of {changes} changes"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(operation: &str, version: Option<u64>) -> Done {
        (operation.to_owned(), version)
    }

    #[test]
    fn a_change_is_left_out_by_its_key_or_by_its_version() {
        let stream = [
            (13, done("insert", Some(1))),
            (4, done("insert", Some(1))),
            (4, done("update", Some(2))),
            (13, done("delete", None)),
            (4, done("update", Some(3))),
            (4, done("delete", None)),
        ];
        let kept = left_of_stream(&stream);
        let expected = [1, 4, 5].map(|number| stream[number].clone());
        assert_eq!(kept, expected);

        let written = History::from([
            (13, vec![done("insert", Some(1)), done("delete", None)]),
            (4, stream[1..3].iter().map(|row| row.1.clone()).collect()),
        ]);
        let expected = History::from([(4, vec![done("insert", Some(1))])]);
        assert_eq!(left(&written), expected);
    }
}
