//! Changes of shapes, of identities, and of what tables there are. A reader who has the messages alone
//! can follow each: rows stand on either side of it, and a table that loses its name or its life is emptied
//! before, for that is not told.

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::{IndexedMutRandom as _, IndexedRandom as _, SliceRandom as _};

use super::Step;
use super::partitions::Partitions;

/// What can be done.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Add,
    Drop,
    Retype,
    Rename,
    Identity,
    Recreate,
    RenameTable,
    NewTable,
    Label,
    Partition,
    Prepared,
}

/// Kinds that are told where a row has the shape of the moment of reading.
const OF_NOW: [Kind; 3] = [Kind::Add, Kind::Drop, Kind::Retype];

const ALL: [Kind; 11] = [
    Kind::Add,
    Kind::Drop,
    Kind::Retype,
    Kind::Rename,
    Kind::Identity,
    Kind::Recreate,
    Kind::RenameTable,
    Kind::NewTable,
    Kind::Label,
    Kind::Partition,
    Kind::Prepared,
];

/// Shapes of `shop.reborn`, each with its columns' values for a row.
const REBORN: [(&str, &str); 3] = [
    ("id integer PRIMARY KEY, a text, b integer", "{id}, 'a', 1"),
    (
        "b numeric(9,3), id integer PRIMARY KEY, c timestamptz",
        "1.5, {id}, 'infinity'",
    ),
    ("id bigint PRIMARY KEY, a integer", "{id}, -1"),
];

const IDENTITIES: [&str; 3] = ["FULL", "DEFAULT", "USING INDEX drifting_identity"];

/// A table whose columns come, change and go.
struct Shaped {
    table: &'static str,
    /// Further columns in a row, and their values; `{id}` is the row's.
    more: (&'static str, &'static str),
    key: String,
    number: String,
    added: Vec<String>,
}

impl Shaped {
    fn new(table: &'static str, more: (&'static str, &'static str)) -> Self {
        Self {
            table,
            more,
            key: "id".to_owned(),
            number: "n".to_owned(),
            added: Vec::new(),
        }
    }

    /// Rows that are inserted, changed in their short columns, and deleted.
    fn rows(&self, id: u32) -> String {
        let Self {
            table, key, number, ..
        } = self;
        let (columns, values) = self.more;
        let values = values.replace("{id}", &id.to_string());
        format!(
            "INSERT INTO shop.{table} ({key}, {number}{columns}) VALUES ({id}, 1{values});
            UPDATE shop.{table} SET {number} = {number} + 1 WHERE {key} % 3 = {id} % 3;
            DELETE FROM shop.{table} WHERE {key} < {id} - 200 AND {key} % 2 = 0;"
        )
    }
    fn add(&mut self, random: &mut StdRng, id: u32) -> String {
        self.added.push(format!("c{id}"));
        let kind = ["text", "varchar(9)", "timestamptz", "int[]"].choose(random);
        format!("ADD COLUMN c{id} {}", kind.unwrap())
    }

    fn drop(&mut self, random: &mut StdRng, id: u32) -> String {
        if self.added.is_empty() {
            return self.add(random, id);
        }
        let index = random.random_range(0..self.added.len());
        format!("DROP COLUMN {}", self.added.swap_remove(index))
    }

    fn retype(&mut self, random: &mut StdRng, _id: u32) -> String {
        let to = ["bigint", "numeric(12,2)", "integer"].choose(random);
        format!("ALTER COLUMN {} TYPE {}", self.number, to.unwrap())
    }

    fn rename(&mut self, random: &mut StdRng, id: u32) -> String {
        let name = match random.random_range(0..3) {
            0 => &mut self.key,
            1 if !self.added.is_empty() => self.added.choose_mut(random).unwrap(),
            _ => &mut self.number,
        };
        let old = std::mem::replace(name, format!("r{id}"));
        format!("RENAME COLUMN {old} TO r{id}")
    }
}

/// What the generator knows of the tables that change.
pub(super) struct Shapes {
    kinds: &'static [Kind],
    /// What comes before anything comes again.
    deck: Vec<Kind>,
    shaped: Vec<Shaped>,
    identity: usize,
    reborn: usize,
    wandered: u32,
    partitions: Partitions,
}

impl Shapes {
    pub(super) fn new(shapes_of_then: bool, version: u32) -> Self {
        let mut shaped = vec![Shaped::new("moving", ("", ""))];
        if shapes_of_then {
            let more = (", code, body", ", {id} * 3, repeat('{id} ', 3000)");
            shaped.push(Shaped::new("drifting", more));
        }
        Self {
            kinds: if shapes_of_then { &ALL } else { &OF_NOW },
            deck: Vec::new(),
            shaped,
            identity: 0,
            reborn: 0,
            wandered: 0,
            partitions: Partitions::new(version),
        }
    }

    pub(super) fn change(&mut self, random: &mut StdRng, next_id: &mut u32) -> Vec<Step> {
        if self.deck.is_empty() {
            self.deck = self.kinds.to_vec();
            self.deck.shuffle(random);
        }
        let id = *next_id;
        *next_id += 3;
        match self.deck.pop().unwrap() {
            Kind::Add => self.columns(Shaped::add, random, id),
            Kind::Drop => self.columns(Shaped::drop, random, id),
            Kind::Retype => self.columns(Shaped::retype, random, id),
            Kind::Rename => self.columns(Shaped::rename, random, id),
            Kind::Identity => self.identity(id),
            Kind::Recreate => self.recreate(random, id),
            Kind::RenameTable => self.rename_table(id),
            Kind::NewTable => new_table(id),
            Kind::Label => label(id),
            Kind::Partition => self.partitions.change(random, id),
            Kind::Prepared => prepared(random, id),
        }
    }

    /// A change of columns, in a transaction of its own with rows on either side.
    fn columns(
        &mut self,
        change: fn(&mut Shaped, &mut StdRng, u32) -> String,
        random: &mut StdRng,
        id: u32,
    ) -> Vec<Step> {
        let index = random.random_range(0..self.shaped.len());
        let shaped = &mut self.shaped[index];
        let before = shaped.rows(id);
        let change = change(shaped, random, id);
        let table = shaped.table;
        let after = shaped.rows(id + 1);
        one(format!(
            "BEGIN;\n{before}\nALTER TABLE shop.{table} {change};\n{after}\nCOMMIT;"
        ))
    }

    fn identity(&mut self, id: u32) -> Vec<Step> {
        self.identity = (self.identity + 1) % IDENTITIES.len();
        let identity = IDENTITIES[self.identity];
        let shaped = self.shaped.iter().find(|shaped| shaped.table == "drifting");
        let shaped = shaped.unwrap();
        let (before, after) = (shaped.rows(id), shaped.rows(id + 1));
        one(format!(
            "BEGIN;\n{before}\nALTER TABLE shop.drifting REPLICA IDENTITY {identity};\n{after}
            UPDATE shop.drifting SET code = -code WHERE code % 2 = {id} % 2;\nCOMMIT;"
        ))
    }

    fn recreate(&mut self, random: &mut StdRng, id: u32) -> Vec<Step> {
        self.reborn = (self.reborn + random.random_range(0..REBORN.len())) % REBORN.len();
        let (columns, values) = REBORN[self.reborn];
        let values = |id: u32| values.replace("{id}", &id.to_string());
        let (first, second) = (values(id), values(id + 1));
        vec![
            Step::Sql(format!(
                "BEGIN; DELETE FROM shop.reborn; DROP TABLE shop.reborn;
                CREATE TABLE shop.reborn ({columns}); COMMIT;"
            )),
            Step::Joined("reborn".to_owned()),
            Step::Sql(format!(
                "INSERT INTO shop.reborn VALUES ({first}), ({second});
                UPDATE shop.reborn SET id = id + 1000000 WHERE id = {id};"
            )),
        ]
    }

    fn rename_table(&mut self, id: u32) -> Vec<Step> {
        let old = self.wandered;
        self.wandered += 1;
        let new = self.wandered;
        one(format!(
            "BEGIN;\nINSERT INTO shop.wander{old} VALUES ({id}, 'old');\nDELETE FROM shop.wander{old};
            ALTER TABLE shop.wander{old} RENAME TO wander{new};
            INSERT INTO shop.wander{new} VALUES ({id}, 'new'), ({id} + 1, 'new');
            UPDATE shop.wander{new} SET note = 'changed' WHERE id = {id};\nCOMMIT;"
        ))
    }
}

fn one(sql: String) -> Vec<Step> {
    vec![Step::Sql(sql)]
}

fn new_table(id: u32) -> Vec<Step> {
    vec![
        Step::Sql(format!(
            "CREATE TABLE shop.new{id} (id integer PRIMARY KEY, t text, j jsonb);"
        )),
        Step::Joined(format!("new{id}")),
        Step::Sql(format!(
            "INSERT INTO shop.new{id} VALUES (1, 'x', '[1.50]'), (2, NULL, NULL), (3, '', '{{}}');
            UPDATE shop.new{id} SET id = 4 WHERE id = 1; DELETE FROM shop.new{id} WHERE id = 3;"
        )),
    ]
}

/// A label that an enum gets while its table is read: before 12 not within a transaction.
fn label(id: u32) -> Vec<Step> {
    vec![
        Step::Sql(format!("ALTER TYPE shop.mood ADD VALUE 'new {id}'")),
        Step::Sql(format!(
            "INSERT INTO shop.kinds (id, mood) VALUES ({id}, 'new {id}');
            UPDATE shop.kinds SET mood = 'new {id}' WHERE id % 5 = {id} % 5;"
        )),
    ]
}

/// A transaction in two phases, with another one between them.
fn prepared(random: &mut StdRng, id: u32) -> Vec<Step> {
    let end = ["COMMIT", "COMMIT", "ROLLBACK"].choose(random).unwrap();
    let steps = [
        format!(
            "BEGIN;\nINSERT INTO shop.pages VALUES ({id}, repeat('p', 5000));
            SAVEPOINT s;\nINSERT INTO shop.pages VALUES ({id} + 1, 'gone');\nROLLBACK TO s;
            UPDATE shop.kinds SET body = 'prepared' WHERE id % 5 = 0;
            PREPARE TRANSACTION 'p{id}';"
        ),
        format!("INSERT INTO shop.\"Odd Näme.x>*\" VALUES ({id}, 'between', NULL);"),
        format!("{end} PREPARED 'p{id}'"),
    ];
    steps.map(Step::Sql).into()
}
