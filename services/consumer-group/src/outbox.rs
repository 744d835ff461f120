//! What the service tells the others, in the transaction that makes it true.

use rowcast_bus::publish;
use rowcast_proto::event::Event;
use rowcast_service::outbox;
use sqlx::postgres::PgConnection;

/// Adds a fact to the transaction of `connection`.
pub(crate) async fn append<E: Event>(
    connection: &mut PgConnection,
    event: &E,
) -> Result<(), sqlx::Error> {
    let fact = publish::fact(event).map_err(|error| sqlx::Error::Encode(error.into()))?;
    outbox::append(connection, &fact).await
}
