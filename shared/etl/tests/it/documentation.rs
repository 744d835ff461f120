//! The page for users says what there is.

use rowcast_etl::{Script, functions};

const PAGE: &str = include_str!("../../../../docs/etl.md");

#[test]
fn every_function_is_in_the_page() {
    for function in functions() {
        // A row of a table begins with the signature, in which a bar would end the cell.
        let doc = function.doc.replace('|', r"\|");
        let row = format!("| `` {} `` | {doc} |", function.signature);
        assert!(PAGE.contains(&row), "docs/etl.md lacks: {row}");
    }
}

#[test]
fn every_script_of_the_page_is_right() {
    let mut scripts = PAGE.split("```rowcast\n").skip(1).peekable();
    assert!(scripts.peek().is_some());
    for script in scripts {
        let script = script.split("```").next().unwrap();
        let parsed = Script::parse(script);
        assert!(parsed.is_ok(), "{script}: {parsed:?}");
    }
}
