//! Which member holds what: every member as many shares as every other, or one more, with as few moves as
//! that takes.

use crate::store::share::Share;

/// What is to be done about the shares of a group.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Shares that nobody holds, and who is to get them: indexes of both.
    pub(crate) given: Vec<(usize, usize)>,
    /// Shares whose holder has too many: it is asked to let them go.
    pub(crate) wanted_back: Vec<usize>,
}

/// The plan for these members, those that joined first before the others. Nothing is taken from anybody: a share
/// is given to another once its holder has let it go, or has gone.
pub(crate) fn plan(members: &[String], shares: &[Share]) -> Plan {
    let mut held: Vec<Vec<usize>> = vec![Vec::new(); members.len()];
    let mut free = Vec::new();
    for (index, share) in shares.iter().enumerate() {
        let holder = share.holder.as_ref();
        let holder = holder.and_then(|holder| members.iter().position(|member| member == holder));
        match holder.and_then(|holder| held.get_mut(holder)) {
            Some(held) => held.push(index),
            None => free.push(index),
        }
    }
    let mut plan = Plan::default();
    let mut free = free.into_iter();
    for (member, due) in due(&held, shares.len()) {
        let has = held.get(member).map_or(&[][..], Vec::as_slice);
        let given = free.by_ref().take(due.saturating_sub(has.len()));
        plan.given.extend(given.map(|share| (share, member)));
        plan.wanted_back.extend(has.iter().skip(due));
    }
    plan
}

/// How many shares each member is due. Those that have most now keep one more where not all can have the same.
fn due(held: &[Vec<usize>], shares: usize) -> Vec<(usize, usize)> {
    let mut members: Vec<usize> = (0..held.len()).collect();
    // Stable: among equals those that joined first.
    members.sort_by_key(|&member| std::cmp::Reverse(held.get(member).map_or(0, Vec::len)));
    let (each, left) = match shares.checked_div(members.len()) {
        Some(each) => (each, shares - each * members.len()),
        None => (0, 0),
    };
    let due = |(rank, member)| (member, each + usize::from(rank < left));
    members.into_iter().enumerate().map(due).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(count: usize) -> Vec<String> {
        (0..count).map(|member| member.to_string()).collect()
    }

    fn shares(holders: &[Option<&str>]) -> Vec<Share> {
        let share = |(number, holder): (usize, &Option<&str>)| Share {
            consumer: format!("{number:03}"),
            holder: holder.map(str::to_owned),
            epoch: 0,
            is_left: false,
        };
        holders.iter().enumerate().map(share).collect()
    }

    /// Carries plans out until nothing is left to do; tells how many shares came to somebody.
    fn settle(members: &[String], shares: &mut [Share]) -> usize {
        let mut moves = 0;
        loop {
            let plan = plan(members, shares);
            if plan == Plan::default() {
                return moves;
            }
            for &(share, member) in &plan.given {
                assert!(
                    shares[share]
                        .holder
                        .as_ref()
                        .is_none_or(|holder| !members.contains(holder)),
                    "taken from a member"
                );
                shares[share].holder = Some(members[member].clone());
                moves += 1;
            }
            for share in plan.wanted_back {
                shares[share].holder = None;
            }
        }
    }

    fn counts(members: &[String], shares: &[Share]) -> Vec<usize> {
        let of = |member: &String| {
            let held = shares
                .iter()
                .filter(|share| share.holder.as_ref() == Some(member));
            held.count()
        };
        members.iter().map(of).collect()
    }

    #[test]
    fn the_first_member_gets_everything_and_the_second_half_of_it() {
        let mut all = shares(&[None; 17]);
        assert_eq!(settle(&members(1), &mut all), 17);
        assert_eq!(settle(&members(2), &mut all), 8);
        assert_eq!(counts(&members(2), &all), [9, 8]);
    }

    #[test]
    fn of_one_share_the_holder_keeps_it_and_another_gets_it_when_the_holder_has_gone() {
        let mut all = shares(&[Some("2")]);
        assert_eq!(plan(&members(3), &all), Plan::default());
        assert_eq!(settle(&members(2), &mut all), 1);
        assert_eq!(all[0].holder.as_deref(), Some("0"));
    }

    #[test]
    fn without_members_nothing_is_given() {
        assert_eq!(plan(&[], &shares(&[None, Some("0")])), Plan::default());
    }

    #[test]
    fn whoever_comes_and_goes_the_rest_is_balanced_with_few_moves() {
        let mut all = shares(&[None; 17]);
        let everybody = members(40);
        // Members 3 to 12 of 20 at a time, by a fixed walk.
        for step in 0..200_usize {
            let from = (step * 7) % 20;
            let present = &everybody[from..from + 3 + (step * 5) % 10];
            let gone = all
                .iter()
                .filter(|share| {
                    share
                        .holder
                        .as_ref()
                        .is_none_or(|holder| !present.contains(holder))
                })
                .count();
            let before = counts(present, &all);
            let moves = settle(present, &mut all);
            let after = counts(present, &all);
            assert_eq!(after.iter().sum::<usize>(), 17);
            let (least, most) = (after.iter().min().unwrap(), after.iter().max().unwrap());
            assert!(most - least <= 1, "{after:?}");
            let gained: usize = before
                .iter()
                .zip(&after)
                .map(|(before, after)| after.saturating_sub(*before))
                .sum();
            assert!(moves <= gained.max(gone), "step {step}: {moves} moves");
        }
    }
}
