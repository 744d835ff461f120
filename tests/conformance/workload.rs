//! Random transactions. The same seed gives the same SQL.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

/// Edges of each column's type, as SQL expressions; NULL is always among them. The JSON document
/// `null` is not: `jsonb_populate_record`, by which the replay reads, takes it for NULL.
const EDGES: [(&str, &[&str]); 35] = [
    ("flag", &["true", "false"]),
    ("small", &["-32768", "32767", "0"]),
    ("whole", &["-2147483648", "2147483647"]),
    (
        "big",
        &[
            "-9223372036854775808",
            "9223372036854775807",
            "9007199254740993",
            "-9007199254740992",
        ],
    ),
    (
        "single",
        &[
            "'NaN'",
            "'-Infinity'",
            "1.1",
            "3.4028235e38",
            "-0.0",
            "1e-45",
        ],
    ),
    (
        "double",
        &[
            "'NaN'",
            "'Infinity'",
            "0.1",
            "1.7976931348623157e308",
            "5e-324",
            "-1.1187903854563579e-36",
        ],
    ),
    (
        "exact",
        &[
            "'NaN'",
            "0",
            "-0.000000000000000000000000000001",
            "123456789012345678901234567890.0123456789",
            "1e100",
        ],
    ),
    ("scaled", &["19.9", "-9999999999999999.9999"]),
    ("price", &["12.34", "-0.01", "1234567.89"]),
    (
        "body",
        &[
            "''",
            "E'q\"\\\\ \\u00e9\\n\\t\\u0001\\u007f'",
            "U&'\\+01F600\\2028'",
            "'null'",
            "repeat('long', 50)",
        ],
    ),
    ("short", &["'v'", "E'\\b\\f'"]),
    ("padded", &["'c'", "'ab cd'"]),
    (
        "raw",
        &[
            "''",
            "'\\x00ff'",
            "'\\xdeadbeef01'",
            "decode(repeat('ab', 301), 'hex')",
        ],
    ),
    (
        "document",
        &[
            "'{}'",
            "'[1, 2.50, {\"a\": \"\\u00e9\\\\\"}]'",
            "'\"text\"'",
            "'123456789012345678901234567890.5'",
        ],
    ),
    ("identifier", &["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"]),
    (
        "day",
        &[
            "'2026-11-23'",
            "'infinity'",
            "'-infinity'",
            "'0044-03-15 BC'",
            "'12026-01-01'",
        ],
    ),
    (
        "at",
        &[
            "'2026-11-23 05:33:10.5'",
            "'infinity'",
            "'0001-01-01 00:00:00 BC'",
            "'9999-12-31 23:59:59.999999'",
            "'12026-02-03 04:05:06'",
        ],
    ),
    (
        "at_zone",
        &[
            "'2026-11-23 05:33:10.123+09'",
            "'-infinity'",
            "'1883-11-18 12:00:00+00'",
            "'0044-03-15 12:00:00+00 BC'",
        ],
    ),
    ("moment", &["'24:00:00'", "'00:00:00.000001'"]),
    ("moment_zone", &["'12:30:00+05:45'", "'23:59:59.5-12'"]),
    (
        "span",
        &["'1 year 2 mons -3 days 04:05:06.789'", "'0'", "'-1 mons'"],
    ),
    ("address", &["'10.0.0.1'", "'2001:db8::1/64'"]),
    ("network", &["'10.0.0.0/8'"]),
    ("bits", &["B'101'", "B''"]),
    ("spot", &["'(1.5,-2)'"]),
    ("words", &["'a fat ''cat'''"]),
    ("numbers", &["'{}'", "'{1,NULL,-3}'", "'[2:4]={7,8,9}'"]),
    (
        "texts",
        &[
            "'{}'",
            "'{\"a,b\",\"c\\\"d\",NULL,\"NULL\",\"{x}\",\" \",\"\\\\\\\\\"}'",
        ],
    ),
    ("grid", &["'{{1,2},{3,4}}'", "'{{{1},{NULL}}}'"]),
    ("days", &["'{2026-11-23,infinity}'"]),
    ("mood", &["'sad'", "'so \"so\"'"]),
    (
        "place",
        &["'(1,2.5,\"x, \"\"y\"\"\")'", "'(,,)'", "'(1,NaN,)'"],
    ),
    (
        "places",
        &["ARRAY['(1,2,a)', NULL, '(,,\"b,c\")']::shop.place[]"],
    ),
    ("amount", &["1", "2147483647"]),
    ("extent", &["'empty'", "'[1,5)'", "'(,3]'"]),
];

/// What the generator knows of the tables.
pub(crate) struct Workload {
    random: StdRng,
    next_id: u32,
    moving_columns: Vec<u32>,
    truncates: bool,
}

impl Workload {
    /// PostgreSQL tells of a TRUNCATE from version 11 on.
    pub(crate) fn new(seed: u64, truncates: bool) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            next_id: 1,
            moving_columns: Vec::new(),
            truncates,
        }
    }

    /// The statements of one transaction.
    pub(crate) fn transaction(&mut self) -> String {
        let mut sql = String::from("BEGIN;\n");
        for _ in 0..self.random.random_range(1..=6) {
            let statement = self.statement();
            if self.random.random_ratio(1, 12) {
                sql.push_str(&format!("SAVEPOINT s;\n{statement}\nROLLBACK TO s;\n"));
            } else {
                sql.push_str(&statement);
                sql.push('\n');
            }
        }
        sql.push_str(if self.random.random_ratio(1, 15) {
            "ROLLBACK;"
        } else {
            "COMMIT;"
        });
        sql
    }

    /// A change of a table's shape, in a transaction of its own with a row on either side.
    pub(crate) fn shape_change(&mut self) -> String {
        let column = self.id();
        let before = format!("INSERT INTO shop.moving (id, n) VALUES ({}, 1);", self.id());
        let change = match self.random.random_range(0..3) {
            0 if !self.moving_columns.is_empty() => {
                let index = self.random.random_range(0..self.moving_columns.len());
                let dropped = self.moving_columns.swap_remove(index);
                format!("ALTER TABLE shop.moving DROP COLUMN c{dropped};")
            }
            1 => {
                let to = ["bigint", "numeric(12,2)", "integer"].choose(&mut self.random);
                format!(
                    "ALTER TABLE shop.moving ALTER COLUMN n TYPE {};",
                    to.unwrap()
                )
            }
            _ => {
                self.moving_columns.push(column);
                let kind = ["text", "varchar(9)", "timestamptz", "int[]"].choose(&mut self.random);
                format!(
                    "ALTER TABLE shop.moving ADD COLUMN c{column} {};",
                    kind.unwrap()
                )
            }
        };
        let after = format!("INSERT INTO shop.moving (id, n) VALUES ({}, 2);", self.id());
        format!("BEGIN;\n{before}\n{change}\n{after}\nCOMMIT;")
    }

    const fn id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    fn some_id(&mut self) -> u32 {
        self.random.random_range(1..=self.next_id)
    }

    fn statement(&mut self) -> String {
        let id = self.id();
        let old = self.some_id();
        match self.random.random_range(0..100) {
            0..25 => self.insert_kinds(id),
            25..40 => {
                let (column, value) = self.value();
                format!(
                    "UPDATE shop.kinds SET {column} = {value} WHERE id >= {old} AND id < {old} + 5;"
                )
            }
            40..44 => format!(
                "UPDATE shop.kinds SET id = {id} + 1000000 WHERE id = (SELECT min(id) FROM shop.kinds);"
            ),
            44..50 => format!("DELETE FROM shop.kinds WHERE id % 7 = {old} % 7 AND id < {old};"),
            50..58 => format!(
                "INSERT INTO shop.keyless SELECT n % 3, repeat('k', n), n / 7.0 FROM generate_series(1, {old} % 9) n;"
            ),
            58..64 => "UPDATE shop.keyless SET b = b || 'x' WHERE a = 1;".to_owned(),
            64..67 => "DELETE FROM shop.keyless WHERE c > 1;".to_owned(),
            67..69 if self.truncates => "TRUNCATE shop.keyless, shop.coded;".to_owned(),
            67..69 => "DELETE FROM shop.keyless;".to_owned(),
            69..75 => format!("INSERT INTO shop.pages VALUES ({id}, repeat('{id} ', 3000));"),
            75..82 => format!("UPDATE shop.pages SET views = views + 1 WHERE id > {old} - 20;"),
            82..84 => format!(
                "UPDATE shop.pages SET body = left(body, 4000), id = id + 1000000 WHERE id = {old};"
            ),
            84..89 => format!("INSERT INTO shop.coded VALUES ('c{id}', {id} % 3, 'n''{id}');"),
            89..92 => format!(
                "UPDATE shop.coded SET region = region + 1, note = NULL WHERE code < 'c{old}';"
            ),
            92..96 => {
                format!("INSERT INTO shop.\"Odd Näme.x>*\" VALUES ({id}, 'ä\"{id}', {id} % 2 = 0);")
            }
            96..98 => format!("DELETE FROM shop.\"Odd Näme.x>*\" WHERE \"Col umn\" < {old} - 30;"),
            98 => format!(
                "INSERT INTO shop.pages SELECT n, 'bulk' FROM generate_series({id} * 100000, {id} * 100000 + 1100) n;"
            ),
            _ => format!("DELETE FROM shop.pages WHERE id > 2000000 AND id % 2 = {old} % 2;"),
        }
    }

    fn insert_kinds(&mut self, id: u32) -> String {
        let count = self.random.random_range(0..=EDGES.len());
        let mut columns = vec!["id".to_owned()];
        let mut values = vec![id.to_string()];
        for index in rand::seq::index::sample(&mut self.random, EDGES.len(), count) {
            let (column, edges) = EDGES[index];
            columns.push(column.to_owned());
            values.push(self.edge(edges));
        }
        format!(
            "INSERT INTO shop.kinds ({}) VALUES ({});",
            columns.join(", "),
            values.join(", ")
        )
    }

    fn value(&mut self) -> (&'static str, String) {
        let (column, edges) = *EDGES.choose(&mut self.random).unwrap();
        (column, self.edge(edges))
    }

    fn edge(&mut self, edges: &[&str]) -> String {
        if self.random.random_ratio(1, 8) {
            return "NULL".to_owned();
        }
        (*edges.choose(&mut self.random).unwrap()).to_owned()
    }
}
