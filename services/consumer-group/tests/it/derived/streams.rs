//! What becomes of an own stream where something becomes of it, or of the stream that it is made of.

use std::time::Duration;

use rowcast_bus::async_nats::jetstream::stream;
use rowcast_proto::message as m;
use rowcast_proto::rpc::DeleteGroup;
use rowcast_proto::stream::task_stream;
use rowcast_testkit::eventually;
use serde_json::json;

use super::{all_expected, shape, transaction, without_names};
use crate::fixture::{LIMIT, Service, named};

#[tokio::test]
async fn an_own_stream_goes_with_its_group_and_is_made_anew_with_that_of_the_task()
-> anyhow::Result<()> {
    let service = Service::start().await?;
    let (task, _shape) = service.begin_task().await?;
    service.write(&transaction(&task, 1, &[true, true])).await?;
    let member = service.with_policy(&task, m::GroupMode::Ordered).await?;
    assert_eq!(service.own(&member).await?.len(), 5);
    let jetstream = service.capture.jetstream();
    jetstream.delete_stream(task_stream(&task)).await?;
    service.make_stream(&task).await?;
    let mut again = vec![shape(&task)];
    again.extend(transaction(&task, 9, &[true]));
    service.write(&again).await?;
    eventually("the own stream is made anew", LIMIT, async || {
        let Ok(mut own) = jetstream.get_stream(&member.connection.stream).await else {
            return false;
        };
        own.info().await.is_ok_and(|info| info.state.messages == 4)
            && service.consumer_exists(&member.connection).await
    })
    .await;
    let expected = without_names(all_expected(&again));
    assert_eq!(without_names(service.own(&member).await?), expected);
    service.ask::<DeleteGroup>(&named(&member.group)).await?;
    eventually("the own stream is gone", LIMIT, async || {
        jetstream
            .get_stream(&member.connection.stream)
            .await
            .is_err()
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn what_retention_has_removed_before_it_was_read_is_told_as_a_gap() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let (task, _shape) = service.begin_task().await?;
    service.write(&transaction(&task, 1, &[true])).await?;
    let member = service.with_policy(&task, m::GroupMode::Ordered).await?;
    assert_eq!(service.own(&member).await?.len(), 4);
    service.stop().await?;
    service.write(&transaction(&task, 2, &[true])).await?;
    service.write(&transaction(&task, 3, &[true])).await?;
    let of_task = service
        .capture
        .jetstream()
        .get_stream(task_stream(&task))
        .await?;
    // All of transaction 2, as retention would.
    of_task.purge().sequence(8).await?;
    service.start_again().await?;
    let own = service.own(&member).await?;
    let gap = &own[4].1;
    assert_eq!(
        (&gap["op"], &gap["gap"]["code"]),
        (&json!("gap"), &json!("Gap"))
    );
    assert_eq!(
        (&gap["gap"]["from"], &gap["gap"]["to"]),
        (&json!("0/100"), &json!("0/300"))
    );
    assert_eq!(own.len(), 8);
    let derivation = service
        .seen(&member.group)
        .await
        .status
        .unwrap()
        .derivation
        .unwrap();
    assert!(
        derivation.reason.contains("5 to 7"),
        "{}",
        derivation.reason
    );
    Ok(())
}

#[tokio::test]
async fn an_own_stream_that_was_emptied_is_continued_without_a_repeat() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let (task, mut written) = service.begin_task().await?;
    written.extend(transaction(&task, 1, &[true, false, true]));
    service.write(&written[1..]).await?;
    let member = service.with_policy(&task, m::GroupMode::Ordered).await?;
    assert_eq!(service.own(&member).await?.len(), 5);
    service.stop().await?;
    // As retention does with old messages; nobody else may.
    let jetstream = service.capture.jetstream();
    let own = jetstream.get_stream(&member.connection.stream).await?;
    let config = own.cached_info().config.clone();
    let short = stream::Config {
        max_age: Duration::from_millis(200),
        duplicate_window: Duration::from_millis(200),
        ..config.clone()
    };
    jetstream.update_stream(short).await?;
    eventually("the own stream is empty", LIMIT, async || {
        own.get_info()
            .await
            .is_ok_and(|info| info.state.messages == 0)
    })
    .await;
    jetstream.update_stream(config).await?;
    let next = transaction(&task, 2, &[true]);
    service.write(&next).await?;
    service.start_again().await?;
    service.is_made(&member).await;
    let info = own.get_info().await?;
    assert_eq!(
        (info.state.first_sequence, info.state.last_sequence),
        (6, 8)
    );
    Ok(())
}
