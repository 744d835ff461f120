//! Random transactions and changes of shape. The same seed gives the same SQL.

mod edges;
mod partitions;
mod shapes;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

pub(crate) use self::edges::{EXTENSIONS, Edges, added, edges, more};
pub(crate) use self::partitions::partitioned;
use self::shapes::Shapes;

/// Keys and tables that only the source has: the replay gets by without them.
pub(crate) const SOURCE_ALONE: &str = "
    ALTER TABLE shop.children ADD FOREIGN KEY (parent) REFERENCES shop.parents;
    CREATE TABLE shop.reborn (id integer PRIMARY KEY, a text, b integer);
    CREATE TABLE shop.wander0 (id integer PRIMARY KEY, note text);";

/// First version that tells of a TRUNCATE.
const TRUNCATES_SINCE: u32 = 11;

/// What a server can do, and how it is read.
#[derive(Debug, Clone)]
pub(crate) struct Means {
    /// Its major version.
    pub(crate) version: u32,
    /// A row is told in the shape of its own moment.
    pub(crate) shapes_of_then: bool,
    /// Columns of `shop.kinds`.
    pub(crate) columns: Vec<Edges>,
}

/// A step of a change of shape.
#[derive(Debug)]
pub(crate) enum Step {
    /// Statements that go to the server as one.
    Sql(String),
    /// This table of `shop` is tracked: what was written to it before would not be told.
    Joined(String),
}

/// What the generator knows of the tables.
pub(crate) struct Workload {
    random: StdRng,
    next_id: u32,
    means: Means,
    shapes: Shapes,
}

impl Workload {
    pub(crate) fn new(seed: u64, means: Means) -> Self {
        let shapes = Shapes::new(means.shapes_of_then, means.version);
        Self {
            random: StdRng::seed_from_u64(seed),
            next_id: 1,
            means,
            shapes,
        }
    }

    /// The statements of one transaction.
    pub(crate) fn transaction(&mut self) -> String {
        let statements = self.statements();
        let end = if self.random.random_ratio(1, 15) {
            "ROLLBACK;"
        } else {
            "COMMIT;"
        };
        format!("BEGIN;\n{statements}{end}")
    }

    fn statements(&mut self) -> String {
        let mut sql = String::new();
        for _ in 0..self.random.random_range(1..=6) {
            let statement = self.statement();
            if self.random.random_ratio(1, 12) {
                sql.push_str(&format!("SAVEPOINT s;\n{statement}\nROLLBACK TO s;\n"));
            } else {
                sql.push_str(&statement);
                sql.push('\n');
            }
        }
        sql
    }

    /// A transaction in two phases, or a change of a shape or of what tables there are, with rows on
    /// either side.
    pub(crate) fn shape_change(&mut self) -> Vec<Step> {
        self.shapes.change(&mut self.random, &mut self.next_id)
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
            67..69 if self.means.version >= TRUNCATES_SINCE => self.truncate(),
            67..69 => "DELETE FROM shop.keyless;".to_owned(),
            69..72 => format!(
                "INSERT INTO shop.parents VALUES ({id}, 'p'); INSERT INTO shop.children VALUES ({id}, {id}), (-{id}, {id});"
            ),
            72..75 => format!("INSERT INTO shop.pages VALUES ({id}, repeat('{id} ', 3000));"),
            75..82 => format!("UPDATE shop.pages SET views = views + 1 WHERE id > {old} - 20;"),
            82..84 => format!(
                "UPDATE shop.pages SET body = left(body, 4000), id = id + 1000000
                 WHERE id = {old} AND NOT EXISTS (SELECT FROM shop.pages WHERE id = {old} + 1000000);"
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

    fn truncate(&mut self) -> String {
        let tables = [
            "shop.keyless, shop.coded",
            "shop.keyless, shop.parents",
            "shop.parents",
            "shop.children",
        ];
        let tables = tables.choose(&mut self.random).unwrap();
        format!("TRUNCATE {tables} CASCADE;")
    }

    fn insert_kinds(&mut self, id: u32) -> String {
        let known = self.means.columns.len();
        let count = self.random.random_range(0..=known);
        let mut columns = vec!["id".to_owned()];
        let mut values = vec![id.to_string()];
        for index in rand::seq::index::sample(&mut self.random, known, count) {
            let (column, edges) = self.means.columns[index];
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
        let (column, edges) = *self.means.columns.choose(&mut self.random).unwrap();
        (column, self.edge(edges))
    }

    fn edge(&mut self, edges: &[&str]) -> String {
        if self.random.random_ratio(1, 8) {
            return "NULL".to_owned();
        }
        (*edges.choose(&mut self.random).unwrap()).to_owned()
    }
}
