//! A group's position, by the command.

use rowcast_e2e::{PATIENCE, Shell, Shop};
use rowcast_proto::rest::Group;
use rowcast_testkit::eventually;

#[tokio::test]
async fn a_group_is_moved_and_reads_again_from_there() {
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let shell = Shell::of(&shop.platform).unwrap();
    shell.write("group.pw", "Blue-horse-7").unwrap();
    let create = "group create shop warehouse --account reader --password-file group.pw";
    shell.prints(create).await.unwrap();
    for number in 1..=3 {
        let sql = "INSERT INTO shop.counter VALUES ($1::int)";
        shop.sql.execute(sql, &[&number]).await.unwrap();
    }
    let tail = async |count: usize| {
        let line = format!(
            "task tail shop --group warehouse --password-file group.pw --count {count} -o json"
        );
        let printed = shell.prints(&line).await.unwrap();
        printed.lines().map(str::to_owned).collect::<Vec<String>>()
    };
    let first = tail(4).await;
    let shown: Group = shell.json("group show shop warehouse").await.unwrap();
    let position = shown.status.unwrap().position.unwrap();
    assert!(
        first[3].contains(&position.lsn.unwrap().to_string()),
        "{first:?}"
    );

    shell
        .prints("group seek shop warehouse --earliest")
        .await
        .unwrap();
    assert_eq!(tail(4).await, first);
    let lsn = position.lsn.unwrap();
    let seek = format!("group seek shop warehouse --to-lsn {lsn}");
    let moved: Group = shell.json(&seek).await.unwrap();
    assert_eq!(moved.acknowledged_sequence, position.sequence - 1);
    assert_eq!(tail(1).await, first[3..]);

    let (code, trouble) = shell
        .fails("group seek shop warehouse --to-time 2001-01-01T00:00:00Z")
        .await
        .unwrap();
    assert_eq!(code, 1, "{trouble}");
    assert!(
        trouble.contains("the stream holds the sequences 1 to"),
        "{trouble}"
    );
    let (code, trouble) = shell.fails("group seek shop warehouse").await.unwrap();
    assert_eq!(code, 2, "{trouble}");
    eventually("a sample is shown", PATIENCE, async || {
        let shown = shell.prints("group history shop warehouse").await.unwrap();
        shown.lines().count() > 1
    })
    .await;
}
