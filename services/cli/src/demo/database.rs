//! The demo's source: a database of its own, and a role that owns it and nothing else.

use anyhow::Context as _;
use rowcast_domain::Secret;
use rowcast_local::{Postgres, State};
use tokio_postgres::{Client, Connection, NoTls, Socket};

/// Name of the database, of its schema, and of what is registered for it.
pub(crate) const SHOP: &str = "shop";

/// Its role.
pub(crate) const ROLE: &str = "shop_demo";

const SCHEMA: &str = include_str!("shop.sql");

/// Where the shop is.
#[derive(Debug, Clone)]
pub(crate) struct Shop {
    pub(crate) port: u16,
    pub(crate) password: Secret,
}

pub(crate) type ShopConnection = Connection<Socket, tokio_postgres::tls::NoTlsStream>;

impl Shop {
    /// Makes what is missing of it.
    pub(crate) async fn open(postgres: &Postgres, state: &State) -> anyhow::Result<Self> {
        let password = state.credentials().database_password(ROLE)?;
        postgres.sql("postgres", &create(&password)).await?;
        let shop = Self {
            port: postgres.port(),
            password,
        };
        let (client, connection) = shop.connect().await?;
        // As the owner: the demo must show that a superuser is not needed.
        let made = async {
            client
                .batch_execute(SCHEMA)
                .await
                .context("cannot make the tables of the demo")
        };
        tokio::select! {
            made = made => made?,
            ended = connection => ended.context("the demo's database ended the connection")?,
        }
        Ok(shop)
    }

    pub(crate) async fn connect(&self) -> anyhow::Result<(Client, ShopConnection)> {
        tokio_postgres::connect(self.dsn().expose(), NoTls)
            .await
            .context("cannot connect to the demo's database")
    }

    /// With the password.
    pub(crate) fn dsn(&self) -> Secret {
        let Self { port, password } = self;
        let password = password.expose();
        Secret::new(format!(
            "postgres://{ROLE}:{password}@127.0.0.1:{port}/{SHOP}"
        ))
    }
}

/// The password is of our making and needs no escape.
fn create(password: &Secret) -> String {
    let password = password.expose();
    format!(
        "SELECT 'CREATE ROLE {ROLE}'
         WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') \\gexec
         ALTER ROLE {ROLE} LOGIN REPLICATION PASSWORD '{password}';
         SELECT 'CREATE DATABASE {SHOP} OWNER {ROLE}'
         WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{SHOP}') \\gexec
         REVOKE ALL ON DATABASE {SHOP} FROM PUBLIC;"
    )
}
