//! What must hold of how members deal with changes, told again or not.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use rowcast_client::Position;

use crate::log::{Dealing, Log};

/// What one member at a time deals with, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// All changes: of an ordered group.
    Everything,
    /// The changes of a partition, and so those of a key: of a keyed group.
    Partition,
    /// Each change by itself, with anybody and in any order: of a shared group.
    Change,
}

/// A dealing with the number of its change in its unit.
type Numbered = (usize, Dealing);

/// Checks a log against what a group promises.
///
/// Of each unit no two members deal with changes at one time, nothing comes before what stands before it was dealt with,
/// what comes again comes in order too, and nothing comes again that was acknowledged. Of a shared group only the last
/// holds. The changes of a key lie in one partition, whatever the group.
///
/// Of a member that stood still, the change is left out that it may have had before: its lease may be over, which it
/// cannot know. But it cannot acknowledge that change after another member went on.
///
/// # Errors
/// With what does not hold.
pub fn check(log: &Log, unit: Unit) -> anyhow::Result<()> {
    let mut units: BTreeMap<String, Vec<Dealing>> = BTreeMap::new();
    let (dealings, broker_losses) = (log.dealings(), log.broker_losses());
    check_partitions(&dealings)?;
    for dealing in dealings {
        let name = match unit {
            Unit::Everything => String::new(),
            Unit::Partition => dealing.partition.clone(),
            Unit::Change => dealing.position.to_string(),
        };
        units.entry(name).or_default().push(dealing);
    }
    for dealings in units.into_values() {
        let all = numbered(dealings);
        let is_ordered = unit != Unit::Change;
        if is_ordered {
            check_paused(&all)?;
            check_in_order(&all)?;
        }
        let mut awake = all;
        awake.retain(|(_number, dealing)| dealing.paused.is_none());
        if is_ordered {
            check_alone(&awake)?;
        }
        check_acknowledged(&awake, &broker_losses)?;
    }
    Ok(())
}

/// Two members might deal with a key that lies in two partitions, and nobody would know what came first.
fn check_partitions(dealings: &[Dealing]) -> anyhow::Result<()> {
    let mut partitions: BTreeMap<u64, &Dealing> = BTreeMap::new();
    for dealing in dealings {
        let first = partitions.entry(dealing.key).or_insert(dealing);
        ensure!(
            first.partition == dealing.partition,
            "a key in two partitions: {first:?} {dealing:?}"
        );
    }
    Ok(())
}

fn numbered(dealings: Vec<Dealing>) -> Vec<Numbered> {
    let positions: BTreeSet<Position> = dealings.iter().map(|one| one.position).collect();
    let numbers: BTreeMap<Position, usize> = positions.into_iter().zip(1..).collect();
    let numbered = dealings.into_iter().filter_map(|one| {
        let number = numbers.get(&one.position).copied()?;
        Some((number, one))
    });
    numbered.collect()
}

fn check_alone(dealings: &[Numbered]) -> anyhow::Result<()> {
    for ((_, earlier), (_, later)) in dealings.iter().zip(dealings.iter().skip(1)) {
        let ended = earlier.ended.is_some_and(|ended| ended < later.begun);
        ensure!(ended, "two at a time: {earlier:?} {later:?}");
    }
    Ok(())
}

/// All of them: what a member dealt with that was paused counts, or it comes again.
fn check_in_order(dealings: &[Numbered]) -> anyhow::Result<()> {
    let mut before: Option<&Numbered> = None;
    let mut most = 1;
    for one in dealings {
        let (number, dealing) = one;
        let next = number + usize::from(dealing.is_done);
        if dealing.paused.is_some() {
            most = most.max(next);
            continue;
        }
        ensure!(
            *number <= most,
            "out of order: number {number} {dealing:?} after {before:?}"
        );
        (before, most) = (Some(one), next);
    }
    Ok(())
}

fn check_acknowledged(dealings: &[Numbered], broker_losses: &[usize]) -> anyhow::Result<()> {
    let mut acknowledged: Option<(usize, usize, &Dealing)> = None;
    for (number, dealing) in dealings {
        if let Some((acked, at, before)) = acknowledged {
            let is_lost = |loss: &usize| (at..dealing.begun).contains(loss);
            let is_known = at < dealing.begun && !broker_losses.iter().any(is_lost);
            ensure!(
                *number > acked || !is_known,
                "again after its acknowledgement: {dealing:?} after {before:?}"
            );
        }
        if let Some(at) = dealing.acknowledged {
            acknowledged = Some((*number, at, dealing));
        }
    }
    Ok(())
}

/// A member that stood still while another one went on with what it had may not acknowledge it.
fn check_paused(dealings: &[Numbered]) -> anyhow::Result<()> {
    for (_number, dealing) in dealings {
        let (Some(paused), Some(ended), Some(_acknowledged)) =
            (dealing.paused, dealing.ended, dealing.acknowledged)
        else {
            continue;
        };
        if paused < dealing.begun {
            // It may have got it after it went on.
            continue;
        }
        let goes_on = dealings.iter().find(|(_number, other)| {
            other.member != dealing.member && (paused..ended).contains(&other.begun)
        });
        ensure!(
            goes_on.is_none(),
            "acknowledged though another one has it: {dealing:?} {goes_on:?}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
