//! What a source has, page by page.

use std::net::TcpListener;

use rowcast_bus::request::AskError;
use rowcast_proto::message::{
    BrowseRequest, ObjectLevel, ObjectPage, RpcError, SourceConnection, TableSummary,
};

use crate::service::Service;

const SHOP: &str = "
    CREATE SCHEMA shop;
    CREATE SCHEMA \"Crm.x\";
    CREATE SCHEMA rowcast;
    CREATE TABLE rowcast.ours (id int);
    CREATE TABLE shop.orders (id int PRIMARY KEY, amount int, note text);
    INSERT INTO shop.orders SELECT n, n, repeat('x', 100) FROM generate_series(1, 1000) AS n;
    CREATE TABLE shop.items (a int, b int, UNIQUE (a), PRIMARY KEY (b, a));
    ALTER TABLE shop.items REPLICA IDENTITY FULL;
    CREATE UNLOGGED TABLE shop.cache (id int);
    CREATE VIEW shop.seen AS SELECT * FROM shop.orders;
    CREATE TABLE shop.log (at int PRIMARY KEY) PARTITION BY RANGE (at);
    CREATE TABLE shop.log_1 PARTITION OF shop.log FOR VALUES FROM (0) TO (100);
    CREATE TABLE shop.log_2 PARTITION OF shop.log FOR VALUES FROM (100) TO (200);
    INSERT INTO shop.log SELECT n FROM generate_series(50, 149) AS n;
    CREATE TABLE \"Crm.x\".\"Per.son\" (id int);
    ANALYZE";

async fn shop() -> Service {
    let service = Service::start().await;
    service.sql(SHOP).await;
    service
}

fn tables(service: &Service) -> BrowseRequest {
    BrowseRequest {
        source: Some(service.superuser()),
        level: ObjectLevel::Tables.into(),
        limit: 100,
        ..BrowseRequest::default()
    }
}

fn names(page: &ObjectPage) -> Vec<String> {
    let name = |table: &TableSummary| format!("{}.{}", table.schema, table.name);
    page.tables.iter().map(name).collect()
}

#[track_caller]
fn refusal(answer: Result<ObjectPage, AskError>) -> RpcError {
    match answer {
        Err(AskError::Refused(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_table_is_shown_with_what_one_looks_at_before_choosing_it() {
    let service = shop().await;
    let page = service.browse(tables(&service)).await.unwrap();
    assert_eq!(page.next, "");
    assert_eq!(
        names(&page),
        [
            "Crm.x.Per.son",
            "shop.cache",
            "shop.items",
            "shop.log",
            "shop.orders"
        ]
    );
    let table = |name: &str| page.tables.iter().find(|table| table.name == name).unwrap();
    let orders = table("orders");
    assert_eq!(orders.rows, Some(1000), "{orders:?}");
    assert!(orders.size_bytes > 100_000, "{orders:?}");
    assert_eq!(
        (orders.kind.as_str(), orders.columns, orders.logged),
        ("table", 3, true)
    );
    assert_eq!(orders.key_columns, ["id"]);
    let items = table("items");
    assert_eq!(items.primary_key, ["b", "a"]);
    assert_eq!(items.replica_identity, "full");
    assert!(items.key_columns.is_empty(), "{items:?}");
    assert!(!table("cache").logged);
    // What is in the partitions is the table's.
    let log = table("log");
    assert_eq!((log.kind.as_str(), log.rows), ("partitioned", Some(100)));
    assert_eq!(log.size_bytes, 2 * 8192);

    let all = service
        .browse(BrowseRequest {
            partitions: true,
            search: "LOG_".to_owned(),
            ..tables(&service)
        })
        .await
        .unwrap();
    assert_eq!(names(&all), ["shop.log_1", "shop.log_2"]);
    assert_eq!(all.tables[0].partition_of, "shop.log");
    assert_eq!(all.tables[0].rows, Some(50));
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap() {
    let service = shop().await;
    let mut request = BrowseRequest {
        limit: 2,
        ..tables(&service)
    };
    let mut pages = Vec::new();
    loop {
        let page = service.browse(request.clone()).await.unwrap();
        pages.push(names(&page));
        if page.next.is_empty() {
            break;
        }
        request.after = page.next;
        // Behind a name, so that a table in front of it moves nothing.
        service
            .sql("CREATE TABLE IF NOT EXISTS \"Crm.x\".\"A\" (id int)")
            .await;
    }
    let expected: [&[&str]; 3] = [
        &["Crm.x.Per.son", "shop.cache"],
        &["shop.items", "shop.log"],
        &["shop.orders"],
    ];
    assert_eq!(pages, expected);
}

#[tokio::test]
async fn schemas_and_databases_are_listed_and_searched() {
    let service = shop().await;
    service.sql("CREATE DATABASE shop_2").await;
    let level = |level: ObjectLevel, search: &str| BrowseRequest {
        level: level.into(),
        search: search.to_owned(),
        ..tables(&service)
    };
    let page = service
        .browse(level(ObjectLevel::Schemas, ""))
        .await
        .unwrap();
    let schemas: Vec<_> = page
        .schemas
        .iter()
        .map(|schema| (schema.name.as_str(), schema.tables))
        .collect();
    assert_eq!(schemas, [("Crm.x", 1), ("public", 0), ("shop", 4)]);
    let first = BrowseRequest {
        limit: 1,
        ..level(ObjectLevel::Schemas, "p")
    };
    let page = service.browse(first.clone()).await.unwrap();
    assert_eq!((page.schemas.len(), page.next.as_str()), (1, "public"));
    let second = BrowseRequest {
        after: page.next,
        ..first
    };
    let page = service.browse(second).await.unwrap();
    assert_eq!(
        (page.schemas[0].name.as_str(), page.next.as_str()),
        ("shop", "")
    );

    let page = service
        .browse(level(ObjectLevel::Databases, "SHOP"))
        .await
        .unwrap();
    assert_eq!(page.databases, ["shop_2"]);
    let elsewhere = BrowseRequest {
        source: Some(SourceConnection {
            database: "shop_2".to_owned(),
            ..service.superuser()
        }),
        ..tables(&service)
    };
    let page = service.browse(elsewhere).await.unwrap();
    assert!(page.tables.is_empty(), "{page:?}");
}

#[tokio::test]
async fn what_cannot_be_listed_is_told_with_its_field() {
    let service = shop().await;
    for schema in ["nothing", "rowcast", "pg_catalog"] {
        let request = BrowseRequest {
            schema: schema.to_owned(),
            ..tables(&service)
        };
        let error = refusal(service.browse(request).await);
        assert_eq!(
            (error.code.as_str(), error.field.as_str()),
            ("schema_not_found", "schema")
        );
    }
    let malformed = BrowseRequest {
        after: "shop".to_owned(),
        ..tables(&service)
    };
    assert_eq!(refusal(service.browse(malformed).await).field, "cursor");
    let nowhere = SourceConnection {
        database: "nowhere".to_owned(),
        ..service.superuser()
    };
    let request = BrowseRequest {
        source: Some(nowhere),
        ..tables(&service)
    };
    assert_eq!(refusal(service.browse(request).await).field, "database");
    let request = BrowseRequest {
        source: Some(service.login("postgres", "wrong")),
        ..tables(&service)
    };
    let error = refusal(service.browse(request).await);
    assert_eq!(error.code, "source_password_wrong");
    assert!(!error.repair.is_empty(), "{error:?}");
}

#[tokio::test]
async fn a_source_that_says_nothing_is_given_up() {
    let service = Service::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let source = SourceConnection {
        port: silent.local_addr().unwrap().port().into(),
        ..service.superuser()
    };
    let request = BrowseRequest {
        source: Some(source),
        ..tables(&service)
    };
    let error = refusal(service.browse(request).await);
    assert_eq!(error.code, "source_timeout", "{error:?}");
}
