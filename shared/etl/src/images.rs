//! A program over both images of a changed row.

use crate::{
    program::{Cell, Program, RunError},
    table::{Datum, Event, Image},
};

/// What was sent of a row as it was before, a datum per column of the table.
#[derive(Debug, Clone)]
pub enum OldRow<'a> {
    /// All of it.
    Full(Vec<Datum<'a>>),
    /// Its key; what is said of the other columns counts for nothing.
    Key(Vec<Datum<'a>>),
}

/// A changed row as it is told, a cell per column of [`Program::columns`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told<'a> {
    /// The row after.
    pub new: Option<Vec<Cell<'a>>>,
    /// The row before; of one of which only the key was sent, all but the key is null. `None` where none was sent,
    /// and where the row was not told before: nothing of what it was is told now.
    pub old: Option<Vec<Cell<'a>>>,
}

impl Program {
    /// Runs over a changed row; `None` where it is not told. Whether it is, the new row decides, and the old one where
    /// there is no other. What was not sent of a new row again is taken from the old one. `key` says which columns of
    /// the table belong to its key.
    ///
    /// # Errors
    ///
    /// Those of [`Program::run`].
    pub fn change<'a>(
        &'a self,
        key: &[bool],
        old: Option<OldRow<'a>>,
        new: Option<Vec<Datum<'a>>>,
        event: &Event,
    ) -> Result<Option<Told<'a>>, RunError> {
        let is_key = |number: usize| key.get(number) == Some(&true);
        let new = match new {
            Some(row) => {
                let row = whole(row, old.as_ref(), is_key);
                match self.image(&row, event, Image::Row)? {
                    None => return Ok(None),
                    told => told,
                }
            }
            None => None,
        };
        let old = match old {
            None => return Ok(Some(Told { new, old: None })),
            Some(OldRow::Full(row)) => self.image(&row, event, Image::Row)?,
            Some(OldRow::Key(mut row)) => {
                for (number, datum) in row.iter_mut().enumerate() {
                    if !is_key(number) {
                        *datum = Datum::Unchanged;
                    }
                }
                let told = self.image(&row, event, Image::Key)?;
                told.map(|cells| self.only_key(cells, is_key))
            }
        };
        // A row that was deleted and not told before is not told.
        Ok((old.is_some() || new.is_some()).then_some(Told { new, old }))
    }

    fn image<'a>(
        &'a self,
        row: &[Datum<'a>],
        event: &Event,
        image: Image,
    ) -> Result<Option<Vec<Cell<'a>>>, RunError> {
        let mut cells = Vec::with_capacity(self.columns().len());
        let is_told = self.run(row, event, image, &mut cells)?;
        Ok(is_told.then_some(cells))
    }

    fn only_key<'a>(
        &self,
        mut cells: Vec<Cell<'a>>,
        is_key: impl Fn(usize) -> bool,
    ) -> Vec<Cell<'a>> {
        for (cell, column) in cells.iter_mut().zip(self.columns()) {
            if !column.source.is_some_and(&is_key) {
                *cell = Cell::Null;
            }
        }
        cells
    }
}

/// A row's values; what was not sent again is taken from the old row.
fn whole<'a>(
    mut row: Vec<Datum<'a>>,
    old: Option<&OldRow<'a>>,
    is_key: impl Fn(usize) -> bool,
) -> Vec<Datum<'a>> {
    // Of an old row that is only its key, what is null was not sent.
    let (old, of_key) = match old {
        Some(OldRow::Full(old)) => (old, false),
        Some(OldRow::Key(old)) => (old, true),
        None => return row,
    };
    for (number, (datum, before)) in row.iter_mut().zip(old).enumerate() {
        if *datum == Datum::Unchanged && (!of_key || is_key(number)) {
            *datum = *before;
        }
    }
    row
}
