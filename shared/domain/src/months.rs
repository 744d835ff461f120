//! For how long a subscription is paid.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Lengths that a purchase can have: 1 to 9 months, 1, 2, 3 and 5 years, as in Alibaba Cloud DTS.
const PURCHASES: [u32; 13] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 24, 36, 60];

/// Most months of one renewal (Alibaba Cloud DTS, `RenewInstance`, `BuyCount`).
const RENEWAL_MAX: u32 = 60;

/// A number of calendar months for which a subscription can be bought or renewed: 1 to 60.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Months(u32);

/// No subscription is sold for so many months.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnsoldMonths {
    /// Of a purchase.
    #[error("a subscription is not sold for {0} months, but for 1 to 9, 12, 24, 36 or 60")]
    Purchase(u32),
    /// Of a renewal.
    #[error("a subscription is not renewed for {0} months, but for 1 to 60")]
    Renewal(u32),
}

impl Months {
    /// One month.
    pub const ONE: Self = Self(1);

    /// Every length that a purchase can have.
    pub fn of_purchases() -> impl Iterator<Item = Self> {
        PURCHASES.into_iter().map(Self)
    }

    /// The length of a purchase.
    ///
    /// # Errors
    /// Where none is sold for so long; the text says for how long some are.
    pub fn of_purchase(months: u32) -> Result<Self, UnsoldMonths> {
        if PURCHASES.contains(&months) {
            Ok(Self(months))
        } else {
            Err(UnsoldMonths::Purchase(months))
        }
    }

    /// The length of a renewal.
    ///
    /// # Errors
    /// Where it is not 1 to 60.
    pub const fn of_renewal(months: u32) -> Result<Self, UnsoldMonths> {
        if months >= 1 && months <= RENEWAL_MAX {
            Ok(Self(months))
        } else {
            Err(UnsoldMonths::Renewal(months))
        }
    }

    /// As a number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Months {
    type Error = UnsoldMonths;

    fn try_from(months: u32) -> Result<Self, UnsoldMonths> {
        Self::of_renewal(months)
    }
}

impl From<Months> for u32 {
    fn from(months: Months) -> Self {
        months.0
    }
}

impl fmt::Display for Months {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purchase_is_for_months_or_whole_years() {
        for months in [1, 9, 12, 24, 36, 60] {
            assert_eq!(Months::of_purchase(months).map(Months::get), Ok(months));
        }
        for months in [0, 10, 11, 48, 61] {
            let refused = Months::of_purchase(months);
            assert_eq!(refused, Err(UnsoldMonths::Purchase(months)));
        }
    }

    #[test]
    fn a_renewal_is_for_any_number_up_to_five_years() {
        assert!((1..=60).all(|months| Months::of_renewal(months).is_ok()));
        assert_eq!(Months::of_renewal(0), Err(UnsoldMonths::Renewal(0)));
        assert_eq!(Months::of_renewal(61), Err(UnsoldMonths::Renewal(61)));
        assert!(Months::of_purchases().all(|months| Months::of_renewal(months.get()).is_ok()));
    }

    #[test]
    fn they_are_stored_as_a_number() {
        assert_eq!(serde_json::to_string(&Months(12)).unwrap(), "12");
        assert_eq!(serde_json::from_str::<Months>("7").unwrap(), Months(7));
        assert!(serde_json::from_str::<Months>("61").is_err());
    }
}
