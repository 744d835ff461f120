use std::io::Write as _;

use super::*;

/// A log with these lines. Changes of one partition and key are named by their ordinals.
fn logged(lines: &[&str]) -> anyhow::Result<Log> {
    let log = Log::open()?;
    let mut file = std::fs::OpenOptions::new().append(true).open(log.path())?;
    for line in lines {
        let line = match line.split_once(" begin ") {
            Some((member, ordinal)) if !ordinal.contains(' ') => {
                format!("{member} begin 0/10.{ordinal} 03 7 update 1")
            }
            Some(_) | None => (*line).to_owned(),
        };
        writeln!(file, "{line}")?;
    }
    Ok(log)
}

fn checked(lines: &[&str]) -> anyhow::Result<()> {
    check(&logged(lines)?, Unit::Partition)
}

fn refused(lines: &[&str]) -> String {
    checked(lines).unwrap_err().to_string()
}

#[test]
fn what_is_told_again_in_order_is_in_order() {
    checked(&[
        "1 begin 1",
        "1 done",
        "1 acknowledged",
        "1 begin 2",
        "1 done",
        "1 begin 3",
        "1 killed",
        "2 begin 2",
        "2 done",
        "2 acknowledged",
        "2 begin 3",
        "2 done",
        "2 acknowledged",
    ])
    .unwrap();
}

#[test]
fn two_members_at_a_time_are_found() {
    let told = refused(&["1 begin 1", "2 begin 1", "1 done", "2 done"]);
    assert!(told.starts_with("two at a time"), "{told}");
}

#[test]
fn a_change_before_the_one_before_it_was_dealt_with_is_found() {
    let told = refused(&[
        "1 begin 1",
        "1 killed",
        "2 begin 2",
        "2 done",
        "2 begin 1",
        "2 done",
    ]);
    assert!(told.starts_with("out of order"), "{told}");
}

#[test]
fn a_change_that_is_left_out_among_those_told_again_is_found() {
    let told = refused(&[
        "1 begin 1",
        "1 done",
        "1 begin 2",
        "1 done",
        "1 begin 3",
        "1 done",
        "2 begin 1",
        "2 done",
        "2 begin 3",
        "2 done",
    ]);
    assert!(told.starts_with("out of order"), "{told}");
}

#[test]
fn a_change_told_again_after_its_acknowledgement_is_found_unless_the_broker_was_killed() {
    let told = refused(&[
        "1 begin 1",
        "1 done",
        "1 acknowledged",
        "2 begin 1",
        "2 done",
    ]);
    assert!(told.starts_with("again after"), "{told}");
    checked(&[
        "1 begin 1",
        "1 done",
        "1 acknowledged",
        "0 broker",
        "2 begin 1",
        "2 done",
    ])
    .unwrap();
}

#[test]
fn a_member_that_stood_still_may_end_what_it_had_and_not_acknowledge_it() {
    let stood_still = [
        "1 begin 1",
        "1 paused",
        "2 begin 1",
        "2 done",
        "2 acknowledged",
        "1 paused",
        "1 done",
    ];
    checked(&[&stood_still[..], &["1 refused"]].concat()).unwrap();
    let told = refused(&[&stood_still[..], &["1 acknowledged"]].concat());
    assert!(told.starts_with("acknowledged though"), "{told}");
}

#[test]
fn a_member_that_stood_still_goes_on_with_what_it_holds() {
    checked(&[
        "1 begin 1",
        "1 done",
        "1 acknowledged",
        "1 paused",
        "1 paused",
        "1 begin 2",
        "1 done",
        "1 acknowledged",
        "1 begin 3",
        "1 done",
    ])
    .unwrap();
    // Only one change can have been with it before.
    let told = refused(&[
        "1 begin 1",
        "1 done",
        "1 acknowledged",
        "1 paused",
        "2 begin 2",
        "1 paused",
        "1 begin 2",
        "1 done",
        "1 refused",
        "1 begin 3",
        "2 done",
        "1 done",
    ]);
    assert!(told.starts_with("two at a time"), "{told}");
}

#[test]
fn of_a_shared_group_anybody_deals_with_anything_until_it_is_acknowledged() {
    let beside_each_other = [
        "1 begin 2",
        "2 begin 1",
        "1 done",
        "1 refused",
        "2 begin 2",
        "2 done",
        "2 acknowledged",
    ];
    let log = logged(&beside_each_other).unwrap();
    check(&log, Unit::Change).unwrap();
    let again = [&beside_each_other[..], &["1 begin 2", "1 done"]].concat();
    let told = check(&logged(&again).unwrap(), Unit::Change).unwrap_err();
    assert!(told.to_string().starts_with("again after"), "{told}");
}

#[test]
fn a_key_in_two_partitions_is_found() {
    let mut lines = vec!["1 begin 1", "1 done"];
    checked(&lines).unwrap();
    lines.extend(["1 begin 0/10.2 04 7 update 2", "1 done"]);
    let told = refused(&lines);
    assert!(told.starts_with("a key in two partitions"), "{told}");
}
