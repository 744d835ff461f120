//! The platform by the `rowcast` command.

mod apply;
mod exit_codes;
mod own_source;
mod tail;
mod transcript;
mod wizard;
mod parity;
mod source;
mod preview;
mod group;

use std::process::Stdio;

use rowcast_e2e::{PATIENCE, Shell};
use rowcast_proto::rest::{Source, SourceList};
use rowcast_testkit::{Platform, eventually};

#[tokio::test]
async fn refusals_name_the_field_and_the_repair_and_have_codes() {
    let platform = Box::pin(Platform::start(Default::default())).await.unwrap();
    let mut shell = Shell::of(&platform).unwrap();
    shell.write("password", "Shop-demo-1\n").unwrap();
    let create = "source create shop --host db.example --database shop --account tracker";
    let created: Source = shell
        .json(&format!("{create} --password-file password"))
        .await
        .unwrap();
    assert_eq!((created.name.as_str(), created.port), ("shop", 5432));
    let listed: SourceList = shell.json("source list").await.unwrap();
    assert_eq!(listed.sources.len(), 1);
    for wanted in ["shop", created.id.as_str()] {
        let shown = shell
            .prints(&format!("source show {wanted}"))
            .await
            .unwrap();
        assert!(shown.contains("db.example"), "{shown}");
        assert!(!shown.contains("Shop-demo-1"), "{shown}");
    }

    let (code, trouble) = shell.fails("source show nobody").await.unwrap();
    assert_eq!((code, trouble.lines().count()), (4, 1), "{trouble}");
    let name = "x".repeat(65);
    let refused = create.replace("shop ", &format!("{name} "));
    let (code, trouble) = shell
        .fails(&format!("{refused} --password-file password"))
        .await
        .unwrap();
    assert_eq!(code, 1, "{trouble}");
    assert!(
        trouble.contains("name") && trouble.contains("64"),
        "{trouble}"
    );
    assert_eq!(trouble.lines().count(), 1, "{trouble}");

    shell.set("ROWCAST_TOKEN", "wrong");
    let (code, trouble) = shell.fails("source list").await.unwrap();
    assert_eq!((code, trouble.lines().count()), (5, 1), "{trouble}");
}

#[tokio::test]
async fn what_up_runs_is_found_by_itself() {
    let shell = Shell::new().unwrap();
    let mut up = shell
        .command("up --no-demo")
        .unwrap()
        // Where tests stand, nats-server is found by the folder they run in; the shell's is another.
        .env(
            "ROWCAST_NATS_SERVER",
            rowcast_local::find::nats_server().unwrap(),
        )
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the platform answers", PATIENCE, async || {
        shell.prints("source list").await.is_ok()
    })
    .await;
    let contexts = shell.prints("context list").await.unwrap();
    assert!(contexts.contains("local"), "{contexts}");
    shell.prints("down").await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, up.wait()).await;
    assert!(ended.unwrap().unwrap().success());
    let (code, _trouble) = shell.fails("source list").await.unwrap();
    assert_eq!(code, 3);
}
