//! The price list, and what time costs.

use rowcast_domain::Months;
use rowcast_proto::message::{ChargeType, Quote};

/// Price of one hour, in millionths of [`CURRENCY`].
const HOUR_MICROS: u64 = 120_000;

/// Price of one month of a subscription, in millionths of [`CURRENCY`]: that of 500 hours.
pub(crate) const MONTH_MICROS: u64 = 60_000_000;

/// ISO 4217.
const CURRENCY: &str = "USD";

/// Changes with every change of the prices; stands on each instance and order.
const VERSION: &str = "2026-12";

const HOUR_SECONDS: u128 = 3600;

/// What an instance costs now that is paid by the hour.
pub(crate) fn by_the_hour() -> Quote {
    Quote {
        charge_type: ChargeType::PayAsYouGo.into(),
        hour_micros: HOUR_MICROS,
        ..nothing()
    }
}

/// What these months cost now.
pub(crate) fn in_advance(months: Months) -> Quote {
    Quote {
        charge_type: ChargeType::Subscription.into(),
        month_micros: MONTH_MICROS,
        months: months.get(),
        amount_micros: u64::from(months.get()) * MONTH_MICROS,
        ..nothing()
    }
}

fn nothing() -> Quote {
    Quote {
        currency: CURRENCY.to_owned(),
        price_version: VERSION.to_owned(),
        ..Quote::default()
    }
}

/// The amount for `seconds` of one hour, rounded half up.
///
/// Called once per hour line: rounding a sum of rounded parts would drift.
pub(crate) fn amount_micros(seconds: u32, hour_micros: u64) -> u64 {
    // Half an hour's seconds added before the division is rounding half up.
    let scaled = u128::from(seconds) * u128::from(hour_micros) + HOUR_SECONDS / 2;
    // No more than the price of the hour for up to 3600 seconds, so this fits.
    u64::try_from(scaled / HOUR_SECONDS).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn half_a_millionth_is_rounded_up_and_less_is_not() {
        assert_eq!(amount_micros(1800, 1), 1);
        assert_eq!(amount_micros(1799, 1), 0);
        assert_eq!(amount_micros(1, 120_000), 33);
        assert_eq!(amount_micros(0, 120_000), 0);
    }

    proptest! {
        #[test]
        fn a_full_hour_costs_its_price(hour_micros in any::<u64>()) {
            prop_assert_eq!(amount_micros(3600, hour_micros), hour_micros);
        }

        #[test]
        fn more_time_never_costs_less(seconds in 0_u32..3600, hour_micros in any::<u64>()) {
            prop_assert!(
                amount_micros(seconds, hour_micros) <= amount_micros(seconds + 1, hour_micros)
            );
        }
    }
}
