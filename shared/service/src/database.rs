//! The service's own schema in the control-plane database.

use std::str::FromStr as _;
use std::time::Duration;

use rowcast_domain::Secret;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

/// Connections a service holds at most; six services fit into PostgreSQL's default of 100.
const MAX_CONNECTIONS: u32 = 10;

/// How long a query waits for a connection before it fails.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects with `search_path` set to the service's schema.
///
/// The schema is created where the role may: on a managed server an operator creates it.
///
/// # Errors
/// Where the URL is malformed or the server does not let us in.
pub async fn connect(url: &Secret, schema: &str) -> Result<PgPool, sqlx::Error> {
    let options = PgConnectOptions::from_str(url.expose())?
        .application_name(schema)
        .options([("search_path", schema)]);
    let pool = PgPoolOptions::new()
        .max_connections(MAX_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options)
        .await?;
    let exists: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)",
    )
    .bind(schema)
    .fetch_one(&pool)
    .await?;
    if !exists {
        // An identifier cannot be bound; the name is one of our own services'.
        let statement = format!(
            "CREATE SCHEMA IF NOT EXISTS \"{}\"",
            schema.replace('"', "\"\"")
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
            .execute(&pool)
            .await?;
    }
    Ok(pool)
}
