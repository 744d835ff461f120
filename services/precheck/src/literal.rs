//! What a repair says word for word.
//!
//! Prose stands in lines of its own. What is to be run, written into `pg_hba.conf` or set at the source stands in lines of
//! its own too, with the real names, so that it can be taken as it stands; each statement ends with `;`. Where there is a
//! choice, the line between begins with "Or".

/// Statements shown at most.
const SHOWN: usize = 50;

/// Statements, one a line: the first ones, then how many more there are.
pub(crate) fn lines(statements: impl IntoIterator<Item = String>) -> String {
    let mut statements = statements.into_iter();
    let mut shown: Vec<String> = statements.by_ref().take(SHOWN).collect();
    let more = statements.count();
    if more > 0 {
        shown.push(format!("-- and {more} more"));
    }
    shown.join("\n")
}

/// Sets a parameter that needs no restart.
pub(crate) fn set(parameter: &str, value: &str) -> String {
    format!("ALTER SYSTEM SET {parameter} = {value};\nSELECT pg_reload_conf();")
}

/// Drops a slot.
pub(crate) fn drop_slot(name: &str) -> String {
    let name = name.replace('\'', "''");
    format!("SELECT pg_drop_replication_slot('{name}');")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_end_with_how_many_more_there_are() {
        assert_eq!(lines(["A;".to_owned(), "B;".to_owned()]), "A;\nB;");
        let many = lines((0..60).map(|number| format!("SELECT {number};")));
        assert!(many.ends_with("SELECT 49;\n-- and 10 more"), "{many}");
    }
}
