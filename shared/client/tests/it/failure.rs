//! What ends a subscription, and what does not.

use std::time::Duration;

use futures::StreamExt as _;
use rowcast_client::{Error, GroupFormat, Secret, Subscription};
use tokio::time::Instant;

use crate::fixture::{Group, next, ordinals};

#[tokio::test]
async fn a_wrong_password_is_refused() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    group.credentials.password = Secret::new("wrong");
    let refused = group.subscribe().await;
    assert!(
        matches!(refused, Err(Error::LoginRefused { .. })),
        "{refused:?}"
    );
    let told = refused.unwrap_err().to_string();
    assert!(told.contains("the login has all its connections"), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_format_that_is_not_read_is_refused_with_its_name() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    for format in GroupFormat::ALL {
        group.credentials.format = Some(format);
        let subscribed = group.subscribe().await;
        let redriven = Subscription::redriven(group.credentials.clone()).await;
        let is_read = match format {
            GroupFormat::Json | GroupFormat::Cloudevents | GroupFormat::Protobuf => true,
            GroupFormat::Debezium | GroupFormat::Avro => false,
        };
        for connected in [subscribed, redriven] {
            match connected {
                Ok(_subscription) => assert!(is_read, "{format:?}"),
                Err(error) => {
                    assert!(!is_read && error.is_final(), "{error}");
                    let told = error.to_string();
                    assert!(told.contains(format.as_str()), "{told}");
                }
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_deleted_group_ends_its_subscription() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    group.credentials.login_patience = Duration::from_secs(1);
    group.publish(1).await?;
    let mut changes = group.subscribe().await?;
    next(&mut changes).await?.ack().await?;
    let deleted = Instant::now();
    group
        .owner
        .delete_consumer_from_stream(&group.credentials.consumer, &group.credentials.stream)
        .await?;
    let ended = next(&mut changes).await;
    assert!(
        matches!(ended, Err(Error::GroupDeleted { .. })),
        "{ended:?}"
    );
    assert!(deleted.elapsed() >= group.credentials.login_patience);
    assert!(changes.next().await.is_none());

    let refused = group.subscribe().await;
    assert!(
        matches!(refused, Err(Error::GroupDeleted { .. })),
        "{refused:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_subscription_outlives_its_server() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    group.publish(3).await?;
    let mut changes = group.subscribe().await?;
    next(&mut changes).await?.ack().await?;
    assert_eq!(ordinals(&mut changes, 2).await?, [2, 3]);

    group.nats.kill().await?;
    group.nats.restart().await?;
    group.publish(2).await?;
    // 2 and 3 were not acknowledged and may come again; nothing is left out.
    let mut last = 3;
    while last < 5 {
        let ordinal = next(&mut changes).await?.position.ordinal;
        assert!(ordinal <= last + 1, "{ordinal} after {last}");
        last = ordinal;
    }
    next_is_silent_after_ack(&mut group, changes).await
}

/// After an acknowledgement of the newest change only new ones come.
async fn next_is_silent_after_ack(
    group: &mut Group,
    mut changes: rowcast_client::Subscription,
) -> anyhow::Result<()> {
    group.publish(1).await?;
    let mut delivery = next(&mut changes).await?;
    while delivery.position.ordinal != 6 {
        delivery = next(&mut changes).await?;
    }
    delivery.ack().await?;
    group.publish(1).await?;
    assert_eq!(ordinals(&mut changes, 1).await?, [7]);
    Ok(())
}
