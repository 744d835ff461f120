//! Amounts in words for people.

const STEP: f64 = 1024.0;

/// A number of bytes, as `1.4 MiB`.
pub(crate) fn bytes(bytes: f64) -> String {
    let mut rest = bytes;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        if rest < STEP {
            break;
        }
        rest /= STEP;
        unit = larger;
    }
    if unit == "B" {
        format!("{rest:.0} {unit}")
    } else {
        format!("{rest:.1} {unit}")
    }
}

/// The same of a whole number.
#[expect(
    clippy::cast_precision_loss,
    reason = "one digit behind the point is told"
)]
pub(crate) fn whole_bytes(number: u64) -> String {
    bytes(number as f64)
}

/// A number of seconds, as `2 h 5 min`: the two largest units.
pub(crate) fn seconds(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    let parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")];
    let from = parts
        .iter()
        .position(|(number, _)| *number > 0)
        .unwrap_or(parts.len() - 1);
    let words = parts
        .iter()
        .skip(from)
        .take(2)
        .filter(|(number, _)| *number > 0 || from == parts.len() - 1)
        .map(|(number, unit)| format!("{number} {unit}"));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_unit_that_leaves_a_short_number() {
        for (number, text) in [
            (0.0, "0 B"),
            (1023.0, "1023 B"),
            (1024.0, "1.0 KiB"),
            (1_500_000.0, "1.4 MiB"),
            (5e15, "4547.5 TiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn a_time_has_its_two_largest_units() {
        for (number, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (7_505, "2 h 5 min"),
            (86_401, "1 d"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(seconds(number), text, "{number}");
        }
    }
}
