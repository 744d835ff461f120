//! A list of tasks tells how each of them gets on.

use std::time::Duration;

use rowcast_e2e::{Shell, Shop, is_count, read_until};
use rowcast_proto::rest::{Task, TaskList};
use tokio::time::Instant;

/// Groups are looked at every half minute.
const LOOKED_AT: Duration = Duration::from_secs(90);

/// Whether capture tells everything of the task, and consumer-group that its only group is abreast.
fn is_told(task: &Task) -> bool {
    let (Some(position), Some(told)) = (&task.position, &task.consumption) else {
        return false;
    };
    let is_busy = |number: Option<f64>| number.is_some_and(|number| number > 0.0);
    let range = position.held.as_ref();
    position.delay_seconds.is_some()
        && is_busy(position.messages_per_second)
        && is_busy(position.bytes_per_second)
        && is_busy(position.cpu_percent)
        && position.memory_bytes.is_some_and(|bytes| bytes > 0)
        && !told.clients.is_empty()
        && range.is_some_and(|held| held.first_at < held.last_at)
        && told.slowest.as_deref() == Some("warehouse")
        && told
            .acknowledged_sequence
            .is_some_and(|sequence| sequence > 0)
        && told.acknowledged_at.is_some()
}

#[tokio::test]
async fn a_list_tells_how_late_and_fast_a_task_is_and_how_far_its_groups_are() {
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let shell = Shell::of(&shop.platform).unwrap();
    let group = shop.group("warehouse").await.unwrap();
    let mut member = group.subscribe().await.unwrap();
    let began = Instant::now();
    for number in 1.. {
        let insert = format!("INSERT INTO shop.counter VALUES ({number})");
        shop.sql.batch_execute(&insert).await.unwrap();
        let read = read_until(&mut member, |change| is_count(change, number)).await;
        assert_eq!(read.unwrap().len(), 1);
        let with = "/tasks?with=instance,consumption";
        let listed: TaskList = shop.api.get(with).await.unwrap();
        if is_told(&listed.tasks[0]) {
            break;
        }
        assert!(began.elapsed() < LOOKED_AT, "{:?}", listed.tasks);
        // Not faster than a token may ask.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let shown = shell.prints("task list --wide").await.unwrap();
    for told in [
        "CPU",
        " %",
        "MEMORY",
        "KiB",
        "CLIENTS",
        "127.0.0.1:",
        "passed, ",
        "warehouse: ",
        "by the hour",
        "suspend, ",
    ] {
        assert!(shown.contains(told), "{told:?} in {shown}");
    }
}
