//! A partitioned table whose partitions come and go.

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use super::Step;

/// First version that has keys of a whole partitioned table, and moves rows between partitions.
const KEYED_SINCE: u32 = 11;

/// First version that publishes a partitioned table as such: before, a partition joins by itself, and
/// one that is gone has no root any more.
const PUBLISHED_SINCE: u32 = 13;

const COLUMNS: &str = "id integer NOT NULL, day integer NOT NULL, note text";

/// The table with its first partition.
pub(crate) fn partitioned(version: u32) -> String {
    let key = if version < KEYED_SINCE {
        ""
    } else {
        ", PRIMARY KEY (id, day)"
    };
    let first = partition_of(version, 0);
    format!("CREATE TABLE shop.ledger ({COLUMNS}{key}) PARTITION BY RANGE (day); {first}")
}

/// A partition of one day.
fn partition_of(version: u32, day: u32) -> String {
    let key = if version < KEYED_SINCE {
        " (PRIMARY KEY (id, day))"
    } else {
        ""
    };
    format!(
        "CREATE TABLE shop.ledger{day} PARTITION OF shop.ledger{key} {};",
        values(day)
    )
}

fn values(day: u32) -> String {
    format!("FOR VALUES FROM ({day}) TO ({})", day + 1)
}

/// What the generator knows of the partitions.
pub(super) struct Partitions {
    version: u32,
    next: u32,
    days: Vec<u32>,
}

impl Partitions {
    pub(super) fn new(version: u32) -> Self {
        Self {
            version,
            next: 1,
            days: vec![0],
        }
    }

    /// One comes or goes, and rows after it.
    pub(super) fn change(&mut self, random: &mut StdRng, id: u32) -> Vec<Step> {
        let goes = self.version >= PUBLISHED_SINCE && self.days.len() > 2;
        let mut steps = if goes && random.random() {
            let day = self
                .days
                .swap_remove(random.random_range(0..self.days.len()));
            vec![Step::Sql(gone(day))]
        } else {
            let day = self.next;
            self.next += 1;
            self.days.push(day);
            let change = if random.random() {
                partition_of(self.version, day)
            } else {
                attached(day)
            };
            let mut steps = vec![Step::Sql(change)];
            if self.version < PUBLISHED_SINCE {
                steps.push(Step::Joined(format!("ledger{day}")));
            }
            steps
        };
        steps.push(Step::Sql(self.rows(random, id)));
        steps
    }

    /// Rows by the root and by a partition; where the server can, one moves.
    fn rows(&self, random: &mut StdRng, id: u32) -> String {
        let mut day = || *self.days.choose(random).unwrap();
        let (root, leaf, next) = (day(), day(), day());
        let moved = if self.version < KEYED_SINCE {
            String::new()
        } else {
            format!("UPDATE shop.ledger SET day = {next} WHERE id = {id};")
        };
        format!(
            "INSERT INTO shop.ledger VALUES ({id}, {root}, 'root'), ({id} + 1, {root}, NULL);
            INSERT INTO shop.ledger{leaf} VALUES ({id} + 2, {leaf}, 'leaf');
            UPDATE shop.ledger SET note = note || 'x' WHERE id % 3 = {id} % 3;
            DELETE FROM shop.ledger WHERE id < {id} - 200 AND id % 2 = 0;
            {moved}"
        )
    }
}

/// A table that becomes a partition before it has rows: they would not be told as such.
fn attached(day: u32) -> String {
    let values = values(day);
    format!(
        "BEGIN; CREATE TABLE shop.ledger{day} ({COLUMNS}, PRIMARY KEY (id, day));
        ALTER TABLE shop.ledger ATTACH PARTITION shop.ledger{day} {values}; COMMIT;"
    )
}

/// A partition that leaves, and with it its name; its rows are deleted before, for that is told.
fn gone(day: u32) -> String {
    format!(
        "BEGIN; DELETE FROM shop.ledger WHERE day = {day};
        ALTER TABLE shop.ledger DETACH PARTITION shop.ledger{day};
        DROP TABLE shop.ledger{day}; COMMIT;"
    )
}
