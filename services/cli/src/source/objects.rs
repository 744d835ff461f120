//! `rowcast source objects`.

use rowcast_proto::rest::{SourceObjects, TableSummary};

use crate::api::Api;
use crate::args::Format;
use crate::args::source::{Level, Objects};
use crate::table::{or_dash, plain_table};
use crate::{find, output};

/// Entries of one page: the most that the API gives.
const PAGE: &str = "200";

pub(super) async fn run(api: &Api, wanted: Objects) -> anyhow::Result<()> {
    let source = find::source(api, &wanted.source).await?;
    let (level, format) = (wanted.level, wanted.shown.output);
    let mut query = query(wanted);
    let mut all = api.source_objects(&source.id, &query).await?;
    while let Some(cursor) = all.next_cursor.take() {
        query.retain(|(name, _value)| *name != "cursor");
        query.push(("cursor", cursor));
        let page = api.source_objects(&source.id, &query).await?;
        all.databases.extend(page.databases);
        all.schemas.extend(page.schemas);
        all.tables.extend(page.tables);
        all.next_cursor = page.next_cursor;
    }
    match format {
        Format::Json => output::json(&all),
        Format::Table => show(all, level),
    }
}

fn query(wanted: Objects) -> Vec<(&'static str, String)> {
    let level = match wanted.level {
        Level::Databases => "databases",
        Level::Schemas => "schemas",
        Level::Tables => "tables",
    };
    let mut query = vec![
        ("level", level.to_owned()),
        ("limit", PAGE.to_owned()),
        ("partitions", wanted.partitions.to_string()),
    ];
    query.extend(wanted.database.map(|name| ("database", name)));
    query.extend(wanted.schema.map(|name| ("schema", name)));
    query.extend(wanted.search.map(|text| ("search", text)));
    query
}

fn show(all: SourceObjects, level: Level) -> anyhow::Result<()> {
    let mut table = match level {
        Level::Databases => plain_table(["DATABASE"]),
        Level::Schemas => plain_table(["SCHEMA", "TABLES"]),
        Level::Tables => plain_table(["TABLE", "KIND", "ROWS", "BYTES", "KEY", "REMARK"]),
    };
    for name in all.databases {
        table.add_row([name]);
    }
    for schema in all.schemas {
        table.add_row([schema.name, schema.tables.to_string()]);
    }
    for listed in all.tables {
        let (key, remark) = (key(&listed), remark(&listed));
        table.add_row([
            format!("{}.{}", listed.schema, listed.name),
            listed.kind,
            or_dash(listed.rows.map(|rows| rows.to_string())),
            listed.size_bytes.to_string(),
            key,
            or_dash(remark),
        ]);
    }
    output::table(&table)
}

/// What identifies an updated or deleted row.
fn key(table: &TableSummary) -> String {
    if table.replica_identity == "full" {
        "whole row".to_owned()
    } else if table.key_columns.is_empty() {
        "-".to_owned()
    } else {
        table.key_columns.join(", ")
    }
}

fn remark(table: &TableSummary) -> Option<String> {
    let partition = table.partition_of.as_ref();
    partition
        .map(|root| format!("partition of {root}"))
        .or_else(|| (!table.logged).then(|| "unlogged: cannot be tracked".to_owned()))
}
