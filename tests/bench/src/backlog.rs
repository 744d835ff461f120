//! What is written before it is drained.

use clap::ValueEnum;

/// A kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backlog {
    /// Single-row inserts of about 320 bytes, a hundred in a transaction.
    Inserts,
    /// Updates, a thousand in a transaction.
    Updates,
    /// One transaction of inserts.
    Single,
}

/// A table with what shops store: key, uuid, text, amount, time, document, flag.
pub(crate) const SCHEMA: &str = "
    CREATE SCHEMA bench;
    CREATE TABLE bench.orders (
        id bigint PRIMARY KEY, reference uuid NOT NULL, note text NOT NULL, total numeric(12, 2) NOT NULL,
        placed_at timestamptz NOT NULL, details jsonb NOT NULL, paid boolean NOT NULL
    );";

/// The columns of one row; `n` is its key.
const ROW: &str = "n, md5(n::text)::uuid, repeat('words of a note ', 8) || n, n * 0.37,
    '2026-11-23 05:33:10.123456+00'::timestamptz + n * interval '1 ms',
    jsonb_build_object('channel', 'web', 'items', n % 7, 'voucher', NULL, 'address', 'Lyon ' || n % 1000), n % 2 = 0";

/// Comes after a backlog, to show that all of it has come.
pub(crate) const LAST: &str = "INSERT INTO bench.orders VALUES
    (0, gen_random_uuid(), 'the last one', 0, now(), '{}', false)";

const INSERTS_IN_TRANSACTION: u64 = 100;
const UPDATES_IN_TRANSACTION: u64 = 1000;

impl Backlog {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Inserts => "inserts",
            Self::Updates => "updates",
            Self::Single => "single",
        }
    }

    /// Statements before slots are made: they are no part of the backlog.
    pub(crate) fn prepare(self, rows: u64) -> String {
        let empty = "TRUNCATE bench.orders;".to_owned();
        match self {
            Self::Inserts | Self::Single => empty,
            Self::Updates => format!(
                "{empty} INSERT INTO bench.orders SELECT {ROW} FROM generate_series(1, {rows}) n;
                 VACUUM ANALYZE bench.orders;"
            ),
        }
    }

    /// Statements whose changes are drained.
    pub(crate) fn write(self, rows: u64) -> String {
        match self {
            Self::Inserts => in_transactions(
                rows,
                INSERTS_IN_TRANSACTION,
                &format!("INSERT INTO bench.orders VALUES ({ROW});"),
            ),
            Self::Updates => in_transactions(
                rows,
                UPDATES_IN_TRANSACTION,
                "UPDATE bench.orders SET total = total + 1, paid = NOT paid WHERE id = n;",
            ),
            Self::Single => {
                format!("INSERT INTO bench.orders SELECT {ROW} FROM generate_series(1, {rows}) n;")
            }
        }
    }
}

/// A statement for each `n`, so many in a transaction.
fn in_transactions(rows: u64, size: u64, statement: &str) -> String {
    format!(
        "DO $$ BEGIN
             FOR part IN 0..{} LOOP
                 FOR n IN part * {size} + 1..(part + 1) * {size} LOOP {statement} END LOOP;
                 COMMIT;
             END LOOP;
         END $$;",
        (rows / size).saturating_sub(1)
    )
}
