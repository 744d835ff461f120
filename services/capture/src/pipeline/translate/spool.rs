//! The messages of a transaction until its commit arrives: in memory while they are few, in an
//! unnamed file beyond that. However long the transaction, its memory is bounded by [`MEMORY_MAX`]
//! and the largest message.
//!
//! Reading and writing block, as long as copying a mebibyte to or from the operating system's cache
//! takes.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// What is held in memory, in bytes. Nearly all transactions fit, and never touch a disk.
const MEMORY_MAX: usize = 1 << 20;

/// Buffer for reading the file back, in bytes.
const READ_BUFFER: usize = 64 << 10;

/// Length of a message before the message itself, in bytes.
const PREFIX: usize = size_of::<u32>();

/// Messages being collected.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    /// Messages behind those in the file, each after its length.
    buffer: Vec<u8>,
    file: Option<File>,
}

impl Spool {
    /// An empty one. A file will be made in `folder` if one is needed; it has no name, so a crash
    /// leaves nothing behind.
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            buffer: Vec::new(),
            file: None,
        }
    }

    /// Appends a message.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(crate) fn push(&mut self, message: &[u8]) -> io::Result<()> {
        let prefix = u32::try_from(message.len())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?
            .to_be_bytes();
        if self.buffer.len() + PREFIX + message.len() > MEMORY_MAX {
            self.write_out(&prefix, message)
        } else {
            self.buffer.extend_from_slice(&prefix);
            self.buffer.extend_from_slice(message);
            Ok(())
        }
    }

    /// Bytes in memory.
    pub(crate) const fn memory(&self) -> usize {
        self.buffer.capacity()
    }

    /// What was collected, to be read.
    ///
    /// # Errors
    /// Where the file cannot be written or read.
    pub(crate) fn into_reader(mut self) -> io::Result<SpoolReader> {
        let Some(mut file) = self.file.take() else {
            return Ok(SpoolReader(Kept::Memory {
                bytes: self.buffer,
                at: 0,
            }));
        };
        file.write_all(&self.buffer)?;
        file.rewind()?;
        Ok(SpoolReader(Kept::File {
            reader: BufReader::with_capacity(READ_BUFFER, file),
            message: Vec::new(),
        }))
    }

    /// Empties the buffer into the file. The message goes there with it, so that the buffer never
    /// grows to the size of a large one.
    fn write_out(&mut self, prefix: &[u8], message: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none @ None => none.insert(tempfile::tempfile_in(&self.folder)?),
        };
        file.write_all(&self.buffer)?;
        self.buffer.clear();
        file.write_all(prefix)?;
        file.write_all(message)
    }
}

/// Messages being read, in the order they came.
#[derive(Debug)]
pub(crate) struct SpoolReader(Kept);

#[derive(Debug)]
enum Kept {
    Memory {
        bytes: Vec<u8>,
        at: usize,
    },
    File {
        reader: BufReader<File>,
        /// The last message.
        message: Vec<u8>,
    },
}

impl SpoolReader {
    /// Bytes in memory.
    pub(crate) fn memory(&self) -> usize {
        match &self.0 {
            Kept::Memory { bytes, .. } => bytes.capacity(),
            Kept::File { reader, message } => reader.capacity() + message.capacity(),
        }
    }

    /// The next message; `None` after the last.
    ///
    /// # Errors
    /// Where the file cannot be read, or is shorter than what was written.
    pub(crate) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        match &mut self.0 {
            Kept::Memory { bytes, at } => {
                let rest = bytes.get(*at..).unwrap_or_default();
                let Some((prefix, rest)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                let length = length(*prefix);
                *at += PREFIX + length;
                rest.get(..length).ok_or_else(cut).map(Some)
            }
            Kept::File { reader, message } => {
                let mut prefix = [0; PREFIX];
                if reader.fill_buf()?.is_empty() {
                    return Ok(None);
                }
                reader.read_exact(&mut prefix)?;
                message.clear();
                // One large row does not hold its memory for the rest of the transaction.
                message.shrink_to(MEMORY_MAX);
                let length = length(prefix);
                let read = reader.take(length as u64).read_to_end(message)?;
                if read < length {
                    return Err(cut());
                }
                Ok(Some(message))
            }
        }
    }
}

const fn length(prefix: [u8; PREFIX]) -> usize {
    u32::from_be_bytes(prefix) as usize
}

fn cut() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "a kept transaction was cut short",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages of these sizes, each filled with its number.
    fn spool(folder: &Path, sizes: &[usize]) -> Spool {
        let mut spool = Spool::new(folder);
        for (number, &size) in (0_u8..=250).cycle().zip(sizes) {
            spool.push(&vec![number; size]).unwrap();
            assert!(spool.buffer.len() <= MEMORY_MAX);
        }
        spool
    }

    fn assert_reads_back(spool: Spool, sizes: &[usize]) {
        let mut reader = spool.into_reader().unwrap();
        for (number, &size) in (0_u8..=250).cycle().zip(sizes) {
            let message = reader.next().unwrap().unwrap();
            assert_eq!(message.len(), size);
            assert!(message.iter().all(|&byte| byte == number));
        }
        assert_eq!(reader.next().unwrap(), None);
        assert_eq!(reader.next().unwrap(), None);
    }

    #[test]
    fn a_short_transaction_stays_in_memory() {
        // A folder that does not exist: a file could not be made.
        let folder = Path::new("/nonexistent");
        for sizes in [&[][..], &[0], &[1, 0, 500_000, 500_000]] {
            assert_reads_back(spool(folder, sizes), sizes);
        }
        let mut full = spool(folder, &[500_000, 500_000]);
        assert!(full.push(&[0; 100_000]).is_err());
    }

    #[test]
    fn a_long_transaction_is_read_back_from_a_file_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for sizes in [
            &[MEMORY_MAX][..],
            &[MEMORY_MAX - PREFIX, 0],
            &[3, 5 << 20, 7],
            &[100; 50_000],
        ] {
            let spool = spool(folder.path(), sizes);
            assert!(spool.file.is_some());
            assert_reads_back(spool, sizes);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_large_message_gives_its_memory_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut reader = spool(folder.path(), &[8 << 20, 1]).into_reader().unwrap();
        reader.next().unwrap();
        reader.next().unwrap();
        let Kept::File { message, .. } = &reader.0 else {
            panic!("in memory")
        };
        assert!(message.capacity() <= MEMORY_MAX);
    }
}
