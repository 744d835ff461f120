//! How large a script may be.

use rowcast_etl::{DEPTH_MAX, LENGTH_MAX, Script};

use crate::shop::compiled;

fn told(script: &str) -> String {
    Script::parse(script).unwrap_err()[0].to_string()
}

#[test]
fn a_script_has_so_many_bytes() {
    let fitting = "#".repeat(LENGTH_MAX);
    assert!(Script::parse(&fitting).is_ok());
    assert_eq!(
        told(&format!("{fitting}#")),
        "line 1, column 1: The script has 65537 bytes: shorten it to 65536 or fewer."
    );
}

#[test]
fn a_script_is_so_deep() {
    let deep = "Something lies more than 64 levels deep: write it as several statements.";
    for (start, inner, end) in [
        ("(", "true", ")"),
        ("!", "true", ""),
        ("-", "`count`", ""),
        ("op_not(", "true", ")"),
        ("true ? true : ", "true", ""),
        ("1 + ", "1", ""),
        ("1 - (", "1", ")"),
    ] {
        let nested = |depth| {
            format!(
                "e_keep({}{inner}{} > 0)",
                start.repeat(depth),
                end.repeat(depth)
            )
        };
        for depth in [DEPTH_MAX + 1, 10_000] {
            let wrong = told(&nested(depth).chars().take(LENGTH_MAX).collect::<String>());
            assert!(wrong.ends_with(deep), "{start}: {wrong}");
        }
    }
    let composed = |depth| {
        format!(
            "{}e_drop(){}",
            "e_compose(".repeat(depth),
            ")".repeat(depth)
        )
    };
    assert!(Script::parse(&composed(DEPTH_MAX - 1)).is_ok());
    assert!(told(&composed(DEPTH_MAX)).ends_with(deep));
}

#[test]
fn long_chains_of_conditions_are_not_deep() {
    let chain = vec!["`count` == 1"; 1000].join(" || ");
    assert!(!compiled(&format!("e_if({chain}, e_drop())")).keeps_every_row());
}

#[test]
fn a_script_has_so_many_regular_expressions() {
    let matches = |count| {
        let statement = |number| format!("e_keep(regex_match(`city`, 'a{number}'))\n");
        (0..count).map(statement).collect::<String>()
    };
    assert!(Script::parse(&matches(1).repeat(100)).is_ok());
    assert!(Script::parse(&matches(64)).is_ok());
    assert!(told(&matches(65)).contains("more than 64 regular expressions"));
}
