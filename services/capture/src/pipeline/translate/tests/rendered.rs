//! Random rows, written as the plugin writes them, come out unchanged.

use proptest::prelude::*;

use super::*;

/// How the plugin writes values of a type.
#[derive(Debug, Clone, Copy)]
enum Style {
    Number,
    Bool,
    Bits,
    Quoted,
}

const TYPES: [(&str, u32, Style); 7] = [
    ("integer", 23, Style::Number),
    ("boolean", 16, Style::Bool),
    ("bit varying", 1562, Style::Bits),
    ("text", 25, Style::Quoted),
    ("integer[]", 1007, Style::Quoted),
    (r#""char""#, 18, Style::Quoted),
    (r#""a]:'b"."[C"[]"#, 70_000, Style::Quoted),
];

#[derive(Debug, Clone)]
struct Drawn {
    name: String,
    which: usize,
    old: Cell,
    new: Cell,
    key: bool,
}

fn drawn_cell(which: usize, quoted: &str, number: i32) -> Cell {
    match TYPES[which].2 {
        Style::Number => cell(&number.to_string()),
        Style::Bool => cell(if number % 2 == 0 { "t" } else { "f" }),
        Style::Bits => cell(&format!("{:b}", number.unsigned_abs())),
        Style::Quoted => cell(quoted),
    }
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_][a-z0-9_]{0,6}",
        r#"[^\x00]{1,8}"#,
        "(new-tuple|old-key):?"
    ]
}

fn any_column() -> impl Strategy<Value = Drawn> {
    let text = || {
        prop_oneof![
            "[^\\x00]{0,12}",
            "(' new-tuple: |''|null|\\\\| a\\[int\\]:1){0,4}"
        ]
    };
    (
        any_name(),
        0..TYPES.len(),
        (text(), any::<i32>()),
        (text(), any::<i32>(), 0..6_u8),
        any::<bool>(),
    )
        .prop_map(|(name, which, old, new, key)| Drawn {
            name,
            which,
            old: drawn_cell(which, &old.0, old.1),
            new: match new.2 {
                0 => Cell::Null,
                1 => Cell::Unchanged,
                _ => drawn_cell(which, &new.0, new.1),
            },
            key,
        })
}

fn ident(name: &str) -> String {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let plain = name
        .bytes()
        .all(|byte| letter(byte) || byte.is_ascii_digit());
    if plain && name.bytes().next().is_some_and(letter) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

fn rendered<'a>(columns: impl Iterator<Item = (&'a Drawn, &'a Cell)>) -> String {
    let mut line = String::new();
    for (column, value) in columns {
        let (type_name, _, style) = TYPES[column.which];
        let value = match (value, style) {
            (Cell::Null, _) => "null".to_owned(),
            (Cell::Unchanged, _) => "unchanged-toast-datum".to_owned(),
            (Cell::Text(text), Style::Number) => text.clone(),
            (Cell::Text(text), Style::Bool) => {
                if text == "t" { "true" } else { "false" }.to_owned()
            }
            (Cell::Text(text), Style::Bits) => format!("B'{text}'"),
            (Cell::Text(text), Style::Quoted) => format!("'{}'", text.replace('\'', "''")),
        };
        line.push_str(&format!(" {}[{type_name}]:{value}", ident(&column.name)));
    }
    line
}

proptest! {
    #[test]
    fn rows_come_out_as_they_were(
        schema in any_name(),
        table in any_name(),
        mut columns in proptest::collection::vec(any_column(), 0..7),
    ) {
        // A table has no two columns of one name.
        for index in 0..columns.len() {
            let (before, rest) = columns.split_at_mut(index);
            while before.iter().any(|column| column.name == rest[0].name) {
                rest[0].name.push('x');
            }
        }
        let facts = TableFacts {
            oid: 1,
            is_view: false,
            replica_identity: b'd',
            columns: columns
                .iter()
                .map(|drawn| {
                    let (type_name, oid, _) = TYPES[drawn.which];
                    column(&drawn.name, type_name, oid, drawn.key)
                })
                .collect(),
        };
        // The copy of a rewrite is left out, whatever its columns.
        prop_assume!(!table.starts_with("pg_temp_"));
        let keys: Vec<_> = columns.iter().filter(|column| column.key).collect();
        let named = format!("table {}.{}", ident(&schema), ident(&table));
        let new = rendered(columns.iter().map(|column| (column, &column.new)));
        let old = rendered(keys.iter().map(|&column| (column, &column.old)));
        let events = Session::new(&[facts]).changes(&[
            &format!("{named}: INSERT:{new}"),
            &format!("{named}: UPDATE: old-key:{old} new-tuple:{new}"),
            &format!("{named}: DELETE:{old}"),
        ]);

        let new: Row = columns.iter().map(|column| column.new.clone()).collect();
        let key = |column: &Drawn| if column.key { column.old.clone() } else { Cell::Null };
        let old = Old::Key(columns.iter().map(key).collect());
        let expected = [
            (None, Some(new.clone())),
            (Some(old.clone()), Some(new)),
            (Some(old), None),
        ];
        prop_assert_eq!(rows(&events), expected);
        let told = events[0].table();
        prop_assert_eq!(&told.name, &format!("{schema}.{table}"));
        let names: Vec<_> = told.columns.iter().map(|column| &column.0).collect();
        prop_assert_eq!(names, columns.iter().map(|column| &column.name).collect::<Vec<_>>());
    }
}
