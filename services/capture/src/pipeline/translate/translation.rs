//! The translator at work: between the source's frames and stage 2.

use std::path::PathBuf;
use std::sync::Arc;

use rowcast_domain::Lsn;
use rowcast_pg::Session;

use super::table::TableText;
use super::{Outcome, Transaction, TranslateError, Translator, lookup};
use crate::error::Error;

/// Tables of one line that are looked up at most: a TRUNCATE may name many.
const MAX_TABLES: usize = 10_000;

/// Takes lines and gives pgoutput messages.
pub(crate) struct Translation {
    translator: Translator,
    session: Arc<Session>,
    /// The transaction whose messages are given now.
    replayed: Option<Transaction>,
}

impl Translation {
    /// Transactions that are too large for memory are kept in `folder`.
    pub(crate) fn new(session: Arc<Session>, folder: PathBuf) -> Self {
        Self {
            translator: Translator::new(folder),
            session,
            replayed: None,
        }
    }

    /// Takes a line; gives the table that must be looked up first, if there is one.
    ///
    /// # Errors
    /// Where it cannot be translated or kept.
    pub(crate) fn take(&mut self, lsn: Lsn, line: &[u8]) -> Result<Option<TableText>, Error> {
        match self.translator.take(lsn, line)? {
            Outcome::Taken => {}
            Outcome::NeedsTable(table) => return Ok(Some(table)),
            Outcome::Transaction(transaction) => self.replayed = Some(transaction),
        }
        Ok(None)
    }

    /// Looks the table up and takes the line.
    ///
    /// # Errors
    /// Where the source does not answer, or the line cannot be translated.
    pub(crate) async fn look_up(
        &mut self,
        table: TableText,
        lsn: Lsn,
        line: &[u8],
    ) -> Result<(), Error> {
        let mut wanted = Some(table);
        for _ in 0..MAX_TABLES {
            let Some(table) = wanted else { return Ok(()) };
            let facts = lookup::table_facts(&self.session, &table).await?;
            self.translator.define(table, facts)?;
            wanted = self.take(lsn, line)?;
        }
        let problem = "a line of too many tables";
        Err(TranslateError::OutOfOrder { lsn, problem }.into())
    }

    /// The next message of the transaction that is whole, with where it stands.
    ///
    /// # Errors
    /// Where it cannot be read back.
    pub(crate) fn next(&mut self) -> Result<Option<(Lsn, &[u8])>, Error> {
        // Asked first, for what is borrowed in one branch cannot be changed in the other.
        if self.replayed.as_ref().is_some_and(Transaction::is_over) {
            self.replayed = None;
        }
        let Some(transaction) = &mut self.replayed else {
            return Ok(None);
        };
        let lsn = transaction.commit_lsn();
        Ok(transaction.next()?.map(|message| (lsn, message)))
    }

    /// Bytes that the transaction which arrives, and the one whose messages are given, take in memory.
    pub(crate) fn memory(&self) -> usize {
        let replayed = self.replayed.as_ref().map_or(0, Transaction::memory);
        self.translator.memory() + replayed
    }

    /// Whether a transaction has begun to arrive, or its messages are still given.
    pub(crate) const fn is_open(&self) -> bool {
        self.translator.is_open() || self.replayed.is_some()
    }
}
