//! Customers of the shop: a small transaction every now and then.

use std::time::Duration;

use anyhow::Context as _;
use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use rowcast_domain::Backoff;
use tokio::time::MissedTickBehavior;
use tokio_postgres::Client;

use super::database::Shop;
use crate::output;

/// Time between two transactions.
const PAUSE: Duration = Duration::from_millis(700);

/// Orders that the shop keeps; older ones are removed, so that a demo left alone does not fill the disk.
const ORDERS_KEPT: i64 = 500;

const NAMES: [&str; 8] = [
    "Ada Moreau",
    "Björn Lindqvist",
    "Chiara Rossi",
    "Duc Nguyễn",
    "Elena Petrova",
    "Femi Adeyemi",
    "Grace O'Neill",
    "Hiroshi 田中",
];

const CITIES: [&str; 5] = ["Lyon", "Uppsala", "Torino", "Đà Nẵng", "Galway"];

/// Writes until it is dropped; a lost connection is made anew.
pub(super) async fn write(shop: &Shop) {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
    loop {
        if let Err(error) = session(shop, &mut backoff).await {
            output::trouble(format_args!("the demo's writer was interrupted: {error:#}"));
        }
        tokio::time::sleep(backoff.next_wait()).await;
    }
}

async fn session(shop: &Shop, backoff: &mut Backoff) -> anyhow::Result<()> {
    let (client, connection) = shop.connect().await?;
    tokio::select! {
        written = transactions(client, backoff) => written,
        ended = connection => ended.context("the connection ended"),
    }
}

async fn transactions(mut client: Client, backoff: &mut Backoff) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let choice = rand::rng().random_range(0..100);
        match choice {
            0..15 => join(&client).await?,
            15..55 => order(&mut client).await?,
            55..85 => advance(&client).await?,
            85..93 => restock(&client).await?,
            _ => cancel(&client).await?,
        }
        backoff.reset();
    }
}

/// A new customer.
async fn join(client: &Client) -> anyhow::Result<()> {
    let (name, city, newsletter, number) = {
        let mut random = rand::rng();
        let name = NAMES.choose(&mut random).copied().unwrap_or("Ada Moreau");
        let city = CITIES.choose(&mut random).copied().unwrap_or("Lyon");
        let number: u32 = random.random_range(1..10_000);
        (name, city, random.random_bool(0.4), number)
    };
    client
        .execute(
            "INSERT INTO shop.customers (name, email, newsletter, address)
             VALUES ($1, $2, $3, jsonb_build_object('city', $4::text, 'lines', jsonb_build_array('Main St ' || $5::text)))",
            &[
                &name,
                &format!("customer{number}@example.com"),
                &newsletter,
                &city,
                &number.to_string(),
            ],
        )
        .await
        .context("no new customer")?;
    Ok(())
}

/// A customer orders some products: several rows of three tables in one transaction.
async fn order(client: &mut Client) -> anyhow::Result<()> {
    let lines: i64 = rand::rng().random_range(1..=3);
    let transaction = client.transaction().await.context("no transaction")?;
    let customer = transaction
        .query_opt(
            "SELECT id FROM shop.customers ORDER BY random() LIMIT 1",
            &[],
        )
        .await
        .context("no customer")?;
    let customer: i64 = match customer {
        Some(row) => row.get(0),
        // The first order of all comes from somebody new.
        None => transaction
            .query_one(
                "INSERT INTO shop.customers (name, email) VALUES ($1, 'ada@example.com') RETURNING id",
                &[&NAMES[0]],
            )
            .await
            .context("no first customer")?
            .get(0),
    };
    let order: i64 = transaction
        .query_one(
            "INSERT INTO shop.orders (customer_id, note)
             VALUES ($1, CASE WHEN random() < 0.2 THEN 'a gift' END)
             RETURNING id",
            &[&customer],
        )
        .await
        .context("no new order")?
        .get(0);
    transaction
        .execute(
            "WITH chosen AS (
                 SELECT sku, price, row_number() OVER () AS line
                 FROM (SELECT sku, price FROM shop.products WHERE listed ORDER BY random() LIMIT $2) AS picked
             ), added AS (
                 INSERT INTO shop.order_items (order_id, line, sku, quantity, price)
                 SELECT $1, line, sku, 1 + floor(random() * 3)::integer, price FROM chosen
                 RETURNING sku, quantity, price
             ), taken AS (
                 UPDATE shop.products AS product
                 SET stock = stock - added.quantity
                 FROM added
                 WHERE product.sku = added.sku
             )
             UPDATE shop.orders
             SET total = (SELECT sum(quantity * price) FROM added)
             WHERE id = $1",
            &[&order, &lines],
        )
        .await
        .context("no items of an order")?;
    transaction.commit().await.context("an order was not kept")
}

/// An order takes its next step.
async fn advance(client: &Client) -> anyhow::Result<()> {
    client
        .execute(
            "UPDATE shop.orders
             SET status = CASE status
                     WHEN 'new' THEN 'paid'
                     WHEN 'paid' THEN 'packed'
                     ELSE 'shipped'
                 END::shop.order_status,
                 shipped_at = CASE WHEN status = 'packed' THEN now() END
             WHERE id = (
                 SELECT id FROM shop.orders
                 WHERE status IN ('new', 'paid', 'packed')
                 ORDER BY random() LIMIT 1
             )",
            &[],
        )
        .await
        .context("no order took a step")?;
    Ok(())
}

/// The emptiest shelf is filled, and gets a price of the day.
async fn restock(client: &Client) -> anyhow::Result<()> {
    client
        .execute(
            "UPDATE shop.products
             SET stock = stock + 100,
                 price = round(price * (0.95 + random() * 0.1)::numeric, 2),
                 attributes = attributes || jsonb_build_object('restocked', now())
             WHERE sku = (SELECT sku FROM shop.products ORDER BY stock, sku LIMIT 1)",
            &[],
        )
        .await
        .context("nothing was restocked")?;
    Ok(())
}

/// An order is withdrawn with its items; and what is too old goes too.
async fn cancel(client: &Client) -> anyhow::Result<()> {
    client
        .execute(
            "DELETE FROM shop.orders
             WHERE id = (SELECT id FROM shop.orders WHERE status = 'new' ORDER BY random() LIMIT 1)
                OR id <= (SELECT max(id) - $1 FROM shop.orders)",
            &[&ORDERS_KEPT],
        )
        .await
        .context("no order was withdrawn")?;
    Ok(())
}
