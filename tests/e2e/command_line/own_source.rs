//! A task that brings its source along, and is given a name.

use rowcast_e2e::{Api, PASSWORD, PATIENCE, Shell, untracked_shop};
use rowcast_proto::rest::{Source, SourceList, Task};
use rowcast_testkit::{Platform, eventually};

#[tokio::test]
async fn a_source_comes_and_goes_with_its_task() {
    let platform = Box::pin(Platform::start(Default::default())).await.unwrap();
    let _sql = untracked_shop(&platform).await.unwrap();
    let shell = Shell::of(&platform).unwrap();
    let api = Api::new(&platform.api_url, platform.admin_token.expose()).unwrap();
    shell.write("source.pw", PASSWORD).unwrap();
    let file = format!(
        "sources:\n  - name: own\n    host: 127.0.0.1\n    port: {}\n    database: shop\n    \
         account: shop_owner\n    password: {{file: source.pw}}\n    sslmode: disable\n",
        platform.postgres.port()
    );
    shell.write("source.yaml", &file).unwrap();

    let create = "task create --own-source source.yaml --schema shop";
    let task: Task = shell.json(create).await.unwrap();
    // Its database, and the end of its id; another one of the same is named apart.
    let end: String = task.id.as_str().chars().skip(9).collect();
    assert_eq!(task.name, format!("shop-{end}"));
    let other: Task = shell.json(create).await.unwrap();
    assert_ne!(task.name, other.name);
    let same: Task = shell
        .json("task create --own-source source.yaml --schema shop orders")
        .await
        .unwrap();
    let again: Task = shell
        .json("task create --own-source source.yaml --schema shop orders")
        .await
        .unwrap();
    assert_eq!(
        (same.name.as_str(), again.name.as_str()),
        ("orders", "orders")
    );
    let (code, trouble) = shell.fails("task show orders").await.unwrap();
    let names_both = trouble.contains(same.id.as_str()) && trouble.contains(again.id.as_str());
    assert!(code != 0 && names_both, "{trouble}");

    let listed: SourceList = shell.json("source list").await.unwrap();
    assert!(listed.sources.is_empty(), "{listed:?}");
    let path = format!("/sources/{}", task.source_id);
    let own: Source = api.get(&path).await.unwrap();
    assert_eq!(own.host, "127.0.0.1");
    shell
        .prints(&format!("task precheck {}", task.name))
        .await
        .unwrap();
    shell
        .prints(&format!("task release {} --yes --wait", task.name))
        .await
        .unwrap();
    eventually("its source is deleted with it", PATIENCE, async || {
        api.get::<Source>(&path).await.is_err()
    })
    .await;
    let (code, trouble) = shell
        .fails("task create --own-source missing.yaml --all")
        .await
        .unwrap();
    assert!(code != 0 && trouble.contains("missing.yaml"), "{trouble}");
}
