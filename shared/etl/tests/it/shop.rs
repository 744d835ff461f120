//! A table of orders, and shorthands to run scripts over its rows.

use rowcast_etl::{Cell, Column, Datum, Event, Image, Operation, Program, Script, Table};

/// The columns of `shop.public.orders`; a `*` marks the key.
const COLUMNS: [(&str, u32); 14] = [
    ("id*", 20),
    ("phone", 25),
    ("city", 1043),
    ("note", 25),
    ("small", 21),
    ("count", 23),
    ("total", 1700),
    ("ratio", 701),
    ("paid", 16),
    ("made", 1114),
    ("sent", 1184),
    ("day", 1082),
    ("doc", 3802),
    ("ref", 2950),
];

/// What the row of most tests has, in the order of the columns.
pub(crate) const ROW: [&str; 14] = [
    "7",
    "13800001234",
    "Hamburg",
    " Ab1 ",
    "3",
    "40",
    "19.90",
    "0.5",
    "t",
    "2026-11-23 05:33:10.25",
    "2026-11-23 05:33:10+00",
    "2026-11-23",
    r#"{"a": 1}"#,
    "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
];

/// An update that was committed on 2026-11-29 at noon.
pub(crate) const EVENT: Event = Event {
    operation: Operation::Update,
    committed_at: 849_268_800_000_000,
    commit_lsn: 0x0001_6B37_48FF,
    ordinal: 5,
};

/// The table of orders.
pub(crate) fn orders() -> Table<'static> {
    table("orders", &COLUMNS)
}

/// A table of `shop.public`.
pub(crate) fn table(name: &'static str, columns: &[(&'static str, u32)]) -> Table<'static> {
    let columns = columns.iter().map(|(name, type_oid)| Column {
        name: name.trim_end_matches('*'),
        type_oid: *type_oid,
        key: name.ends_with('*'),
    });
    Table {
        database: "shop",
        schema: "public",
        table: name,
        columns: columns.collect(),
    }
}

/// Compiles a script for the orders.
pub(crate) fn compiled(script: &str) -> Program {
    let script = Script::parse(script).unwrap_or_else(|wrong| panic!("{script}: {wrong:?}"));
    let program = script.compile(&orders());
    program.unwrap_or_else(|wrong| panic!("{}: {wrong:?}", script.text()))
}

/// What is wrong with a script for the orders, a line each.
pub(crate) fn mistakes(script: &str) -> Vec<String> {
    let program = Script::parse(script).and_then(|script| script.compile(&orders()));
    let wrong = program.map(drop).unwrap_err();
    wrong.iter().map(ToString::to_string).collect()
}

/// The row of most tests with other data in some columns.
pub(crate) fn row(changed: &[(&str, Datum<'static>)]) -> Vec<Datum<'static>> {
    let data = COLUMNS.iter().zip(ROW).map(|((name, _), text)| {
        let name = name.trim_end_matches('*');
        let changed = changed.iter().find(|(changed, _)| *changed == name);
        changed.map_or(Datum::Text(text), |(_, datum)| *datum)
    });
    data.collect()
}

/// What leaves of a row: `None` if it is dropped.
pub(crate) fn left(program: &Program, row: &[Datum<'_>]) -> Option<Vec<(String, String)>> {
    let mut cells = Vec::new();
    if !program.run(row, &EVENT, Image::Row, &mut cells).unwrap() {
        return None;
    }
    assert_eq!(cells.len(), program.columns().len());
    let shown = cells.iter().map(shown);
    let names = program.columns().iter().map(|column| column.name.clone());
    Some(names.zip(shown).collect())
}

/// A cell as tests write it.
fn shown(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Unchanged => "(unchanged)".to_owned(),
        Cell::Null => "(null)".to_owned(),
        Cell::Text(text) => text.to_string(),
    }
}

/// What a column of the row has after a script: `(dropped)` if there is no row any more.
pub(crate) fn after(script: &str, changed: &[(&str, Datum<'static>)], column: &str) -> String {
    let Some(left) = left(&compiled(script), &row(changed)) else {
        return "(dropped)".to_owned();
    };
    let found = left.into_iter().find(|(name, _)| name == column);
    found.map_or("(no such column)".to_owned(), |(_, shown)| shown)
}

/// What an expression gives for the row.
pub(crate) fn value(expression: &str, changed: &[(&str, Datum<'static>)]) -> String {
    after(&format!("e_set(`result`, {expression})"), changed, "result")
}
