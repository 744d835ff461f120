//! Which questions are answered, and where.

use rowcast_bus::{BoxError, Bus, Server};
use rowcast_proto::rpc::{
    DeleteContact, GetContact, ListContacts, ListIncidents, PutContact, TestContact,
};

use crate::deliver::Sender;
use crate::{NAME, contacts, list_incidents};

/// # Errors
/// Where NATS does not take it.
pub(crate) async fn serve(bus: &Bus, sender: &Sender, version: &str) -> Result<Server, BoxError> {
    let mut server = Server::start(bus, NAME, version, "Incidents of tasks").await?;
    let own = sender.clone();
    server
        .add::<ListIncidents, _, _>(move |request| {
            let sender = own.clone();
            async move { list_incidents::answer(&sender.pool, request).await }
        })
        .await?;
    let own = sender.clone();
    server
        .add::<PutContact, _, _>(move |request| {
            let sender = own.clone();
            async move { contacts::put(&sender, request).await }
        })
        .await?;
    let own = sender.clone();
    server
        .add::<ListContacts, _, _>(move |request| {
            let sender = own.clone();
            async move { contacts::list(&sender, request).await }
        })
        .await?;
    let own = sender.clone();
    server
        .add::<GetContact, _, _>(move |request| {
            let sender = own.clone();
            async move { contacts::get(&sender, request).await }
        })
        .await?;
    let own = sender.clone();
    server
        .add::<DeleteContact, _, _>(move |request| {
            let sender = own.clone();
            async move { contacts::delete(&sender, request).await }
        })
        .await?;
    let own = sender.clone();
    server
        .add::<TestContact, _, _>(move |request| {
            let sender = own.clone();
            async move { contacts::test(&sender, request).await }
        })
        .await?;
    Ok(server)
}
