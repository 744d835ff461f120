//! The fields that pgoutput's messages are made of.
//!
//! PostgreSQL docs, "Logical Replication Message Formats".

use rowcast_domain::Lsn;

use super::MalformedMessage;

/// Bytes of a message and how far they are read.
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn take(
        &mut self,
        count: usize,
        reading: &'static str,
    ) -> Result<&'a [u8], MalformedMessage> {
        let short = MalformedMessage::Short {
            at: self.at,
            reading,
        };
        let end = self.at.checked_add(count).ok_or_else(|| short.clone())?;
        let taken = self.bytes.get(self.at..end).ok_or(short)?;
        self.at = end;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(
        &mut self,
        reading: &'static str,
    ) -> Result<[u8; N], MalformedMessage> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, reading)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self, reading: &'static str) -> Result<u8, MalformedMessage> {
        Ok(u8::from_be_bytes(self.array(reading)?))
    }

    pub(super) fn u16(&mut self, reading: &'static str) -> Result<u16, MalformedMessage> {
        Ok(u16::from_be_bytes(self.array(reading)?))
    }

    pub(super) fn u32(&mut self, reading: &'static str) -> Result<u32, MalformedMessage> {
        Ok(u32::from_be_bytes(self.array(reading)?))
    }

    pub(super) fn i64(&mut self, reading: &'static str) -> Result<i64, MalformedMessage> {
        Ok(i64::from_be_bytes(self.array(reading)?))
    }

    pub(super) fn lsn(&mut self, reading: &'static str) -> Result<Lsn, MalformedMessage> {
        Ok(Lsn::new(u64::from_be_bytes(self.array(reading)?)))
    }

    pub(super) fn expect(
        &mut self,
        wanted: u8,
        reading: &'static str,
    ) -> Result<(), MalformedMessage> {
        let at = self.at;
        match self.u8(reading)? {
            byte if byte == wanted => Ok(()),
            byte => Err(MalformedMessage::Unknown { byte, at, reading }),
        }
    }

    /// A text that ends with a zero byte.
    pub(super) fn text(&mut self, reading: &'static str) -> Result<&'a str, MalformedMessage> {
        let at = self.at;
        let rest = self.bytes.get(at..).unwrap_or_default();
        let Some(length) = rest.iter().position(|&byte| byte == 0) else {
            return Err(MalformedMessage::Short {
                at: self.bytes.len(),
                reading,
            });
        };
        let text = self.take(length, reading)?;
        self.at += 1;
        std::str::from_utf8(text).map_err(|_error| MalformedMessage::NotUtf8 { at, reading })
    }
}
