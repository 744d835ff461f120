//! What an instance costs.

use rowcast_bus::refuse;
use rowcast_bus::refuse::Refusal as _;
use rowcast_domain::Months;
use rowcast_proto::message::{ChargeType, Quote, QuoteRequest, RpcError};

use super::charge_type_not_sold;
use crate::price;

pub(super) fn answer(question: &QuoteRequest) -> Result<Quote, RpcError> {
    match question.charge_type() {
        ChargeType::PayAsYouGo => Ok(price::by_the_hour()),
        ChargeType::Subscription => {
            let months = Months::of_renewal(question.months.max(1)).map_err(|error| {
                refuse::invalid("months_not_sold", error.to_string())
                    .field("months")
                    .repair("give a number of months from 1 to 60")
            })?;
            Ok(price::in_advance(months))
        }
        ChargeType::Unspecified => Err(charge_type_not_sold()),
    }
}
