//! A hash that is the same in every release and on every machine: partitions and schema ids are
//! stored.

use std::hash::Hasher;

/// 64-bit FNV-1a (draft-eastlake-fnv), with a final mix so that its low bits are good enough for a
/// modulo.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StableHasher(u64);

impl Default for StableHasher {
    fn default() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }
}

impl Hasher for StableHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }

    // The standard library writes numbers in the machine's byte order.
    fn write_u32(&mut self, number: u32) {
        self.write(&number.to_le_bytes());
    }

    fn write_u64(&mut self, number: u64) {
        self.write(&number.to_le_bytes());
    }

    fn write_i32(&mut self, number: i32) {
        self.write(&number.to_le_bytes());
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        mixed ^ (mixed >> 33)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(text: &str) -> u64 {
        let mut hasher = StableHasher::default();
        hasher.write(text.as_bytes());
        hasher.finish()
    }

    #[test]
    fn the_hash_of_a_text_is_fixed_for_ever() {
        assert_eq!(hash(""), 0xECBA_3DF2_C338_3C52);
        assert_eq!(hash("42"), 0xA7F7_B306_D61D_FB23);
    }

    #[test]
    fn consecutive_keys_spread_over_the_partitions() {
        let mut counts = [0_u32; 16];
        for key in 0..16_000 {
            counts[usize::try_from(hash(&key.to_string()) % 16).unwrap()] += 1;
        }
        assert!(
            counts.iter().all(|count| (800..1200).contains(count)),
            "{counts:?}"
        );
    }
}
