//! Finds what a mistyped name may have meant.

/// The candidate that differs least from the name, if it differs little.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let limit = ((name.chars().count() + 1) / 3).max(1);
    let measured = candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate));
    let (distance, candidate) = measured.min_by_key(|(distance, _)| *distance)?;
    (distance <= limit).then_some(candidate)
}

/// How many letters must be put in, taken out or changed to make one name of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.to_lowercase().chars().enumerate() {
        let mut left = index + 1;
        let mut next = vec![left];
        for (wanted, pair) in other.iter().zip(row.windows(2)) {
            let &[diagonal, above] = pair else { continue };
            left = (diagonal + usize::from(letter != *wanted)).min(above.min(left) + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let known = ["op_eq", "str_mask", "e_drop"];
        assert_eq!(nearest("str_masks", known), Some("str_mask"));
        assert_eq!(nearest("E_DROP", known), Some("e_drop"));
        assert_eq!(nearest("something_else", known), None);
        assert_eq!(nearest("age", ["made", "day"]), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
