//! Which questions are answered, and where.

use rowcast_bus::{BoxError, Bus, Server};
use rowcast_proto::rpc::{
    DeleteContact, DeleteRule, GetContact, GetRule, ListContacts, ListIncidents, ListRules,
    PutContact, PutRule, TestContact,
};
use sqlx::PgPool;

use crate::deliver::Sender;
use crate::{NAME, contacts, list_incidents, rules};

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
    add_rules(&mut server, &sender.pool).await?;
    Ok(server)
}

async fn add_rules(server: &mut Server, pool: &PgPool) -> Result<(), BoxError> {
    let own = pool.clone();
    server
        .add::<PutRule, _, _>(move |request| {
            let pool = own.clone();
            async move { rules::put(&pool, request).await }
        })
        .await?;
    let own = pool.clone();
    server
        .add::<ListRules, _, _>(move |request| {
            let pool = own.clone();
            async move { rules::list(&pool, request).await }
        })
        .await?;
    let own = pool.clone();
    server
        .add::<GetRule, _, _>(move |request| {
            let pool = own.clone();
            async move { rules::get(&pool, request).await }
        })
        .await?;
    let own = pool.clone();
    server
        .add::<DeleteRule, _, _>(move |request| {
            let pool = own.clone();
            async move { rules::delete(&pool, request).await }
        })
        .await
}
