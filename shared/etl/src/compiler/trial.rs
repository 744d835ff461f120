//! A small table, for tests of the parts.

use crate::{
    program::Program,
    script::Script,
    table::{Column, Table},
};

/// The script, compiled for `s.t (a text, n bigint)`.
pub(super) fn compiled(text: &str) -> Program {
    let column = |name, type_oid| Column {
        name,
        type_oid,
        key: false,
    };
    let table = Table {
        database: "d",
        schema: "s",
        table: "t",
        columns: vec![column("a", 25), column("n", 20)],
    };
    Script::parse(text).unwrap().compile(&table).unwrap()
}
