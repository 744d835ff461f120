//! What an instance costs.

use rowcast_proto::message::{Quote, QuoteRequest, RpcError};

use super::check_charge_type;
use crate::price;

pub(super) fn answer(question: &QuoteRequest) -> Result<Quote, RpcError> {
    check_charge_type(question.charge_type())?;
    Ok(price::quote())
}
