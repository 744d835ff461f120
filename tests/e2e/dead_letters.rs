//! A change that a program cannot deal with is put away, looked at, and sent once more.

use futures::StreamExt as _;
use rowcast_client::{Delivery, GroupMode, Operation, Subscription};
use rowcast_e2e::{Language, PATIENCE, Sample, Shell, Shop, is_count};
use rowcast_proto::rest::{DeadLetter, DeadLetterCause, DeadLetterList};
use rowcast_testkit::eventually;

/// The next row; what is none is acknowledged.
async fn next_row(changes: &mut Subscription) -> Delivery {
    loop {
        let next = tokio::time::timeout(PATIENCE, changes.next()).await;
        let delivery = next.unwrap().unwrap().unwrap();
        if delivery.change.op == Operation::Insert {
            return delivery;
        }
        delivery.ack().await.unwrap();
    }
}

#[tokio::test]
async fn a_row_that_a_program_refuses_is_put_away_and_redriven() {
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let shell = Shell::of(&shop.platform).unwrap();
    let group = shop.group_of("readers", GroupMode::Shared).await.unwrap();
    let update = "group update shop readers --max-deliver 2";
    shell.prints(update).await.unwrap();
    let mut changes = group.subscribe().await.unwrap();
    let sql = "INSERT INTO shop.counter VALUES (7), (8)";
    shop.sql.batch_execute(sql).await.unwrap();
    let mut refused = 0;
    let mut accepted = false;
    while refused < 2 || !accepted {
        let row = next_row(&mut changes).await;
        if row.position.ordinal == 1 {
            refused += 1;
            row.nack_because(&"no counter 7", None).await.unwrap();
        } else {
            accepted = true;
            row.ack().await.unwrap();
        }
    }

    let list = "group dead-letter list shop readers";
    eventually("the row is put away", PATIENCE, async || {
        let list: DeadLetterList = shell.json(list).await.unwrap();
        list.total == 1
    })
    .await;
    let mut letters: DeadLetterList = shell.json(list).await.unwrap();
    let letter = letters.letters.remove(0);
    assert_eq!(letter.cause, DeadLetterCause::GivenUp);
    assert_eq!(letter.attempts, 2);
    assert_eq!(letter.last_error.as_deref(), Some("no counter 7"));
    let show = format!("group dead-letter show shop readers {}", letter.id);
    let shown: DeadLetter = shell.json(&show).await.unwrap();
    assert_eq!(shown.change.unwrap()["table"], "counter");
    assert!(shell.prints(list).await.unwrap().contains("no counter 7"));

    let redrive = format!("group dead-letter redrive shop readers {}", letter.id);
    shell.prints(&redrive).await.unwrap();
    let again = next_row(&mut changes).await;
    assert!(again.is_redriven);
    assert_eq!(again.stream_sequence, letter.position.sequence);
    again.ack().await.unwrap();
    let left: DeadLetterList = shell.json(list).await.unwrap();
    assert_eq!((left.letters.len(), left.total), (0, 0));
}

#[tokio::test]
async fn what_is_redriven_to_an_ordered_group_is_printed_by_the_program_of_the_sdk() {
    Language::Sdk.look("tail").unwrap();
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let shell = Shell::of(&shop.platform).unwrap();
    let group = shop.group("readers").await.unwrap();
    let mut changes = group.subscribe().await.unwrap();
    let sql = "INSERT INTO shop.counter VALUES (7)";
    shop.sql.batch_execute(sql).await.unwrap();
    let stuck = next_row(&mut changes).await.stream_sequence;
    changes.close().await;
    let skip = format!("group skip shop readers {stuck} --reason broken --yes");
    shell.prints(&skip).await.unwrap();

    let list = "group dead-letter list shop readers";
    let letters: DeadLetterList = shell.json(list).await.unwrap();
    let redrive = format!(
        "group dead-letter redrive shop readers {}",
        letters.letters[0].id
    );
    shell.prints(&redrive).await.unwrap();
    let tail = Sample::new("tail", Language::Sdk, &group).unwrap();
    let _running = tail.start(&["redriven".to_owned()]).unwrap();
    eventually("it is printed", PATIENCE, async || {
        let printed = tail.told("stdout.txt").unwrap().concat();
        printed.len() == 1 && is_count(&printed[0], 7)
    })
    .await;
    eventually("it is acknowledged", PATIENCE, async || {
        let left: DeadLetterList = shell.json(list).await.unwrap();
        left.total == 0
    })
    .await;
}
