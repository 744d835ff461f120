//! `GET /prices`.

use axum::Json;
use axum::extract::State;
use rowcast_bus::request::ask;
use rowcast_domain::Months;
use rowcast_proto::message::{ChargeType, QuoteRequest};
use rowcast_proto::rest::Prices;
use rowcast_proto::rpc::GetQuote;

use super::ASK_TIMEOUT;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// Shows what an instance costs: by the hour, and by subscription.
#[utoipa::path(
    get,
    path = "/prices",
    tag = "prices",
    responses(
        (status = 200, description = "The prices of now", body = Prices),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_prices(State(app): State<App>) -> Result<Json<Prices>, ApiError> {
    let quote = async |charge_type: ChargeType| {
        let question = QuoteRequest {
            charge_type: charge_type.into(),
            months: Months::ONE.get(),
        };
        ask::<GetQuote>(app.bus(), &question, ASK_TIMEOUT).await
    };
    let by_the_hour = quote(ChargeType::PayAsYouGo).await?;
    let in_advance = quote(ChargeType::Subscription).await?;
    Ok(Json(Prices {
        currency: in_advance.currency,
        price_version: in_advance.price_version,
        hour_micros: by_the_hour.hour_micros,
        month_micros: in_advance.month_micros,
        months: Months::of_purchases().map(Months::get).collect(),
    }))
}
