//! What a member tries and may not is found in the log of NATS, with its login.

use rowcast_domain::TaskId;
use rowcast_testkit::eventually;

use crate::fixture::{LIMIT, Service, change_subject};
use crate::permission::Intruder;

#[tokio::test]
async fn what_a_login_tries_and_may_not_is_logged() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let (member, other) = (
        service.group(&task, "orders").await?,
        service.group(&task, "others").await?,
    );
    let stream = &member.connection.stream;
    let others = &other.connection.consumer;
    let said = [
        change_subject(&task),
        format!("$JS.API.STREAM.PURGE.{stream}"),
        format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{others}"),
    ];
    let listened = [
        format!("{}.>", other.connection.inbox_prefix),
        "rowcast.rpc.>".to_owned(),
    ];
    let mut intruder = Intruder::connect(&member).await?;
    for subject in &said {
        intruder.may_not_publish(subject, "").await;
    }
    for subject in &listened {
        intruder.may_not_subscribe(subject).await;
    }

    let said = said.iter().map(|subject| ("Publish", subject));
    let listened = listened.iter().map(|subject| ("Subscription", subject));
    for (what, subject) in said.chain(listened) {
        let parts = [
            format!("{what} Violation"),
            format!("user:{}", member.connection.login),
            format!("Subject {subject:?}"),
        ];
        eventually(&format!("{parts:?} is logged"), LIMIT, async || {
            let log = service.nats.log().unwrap();
            let is_of_all = |line: &str| parts.iter().all(|part| line.contains(part));
            log.lines().any(is_of_all)
        })
        .await;
    }
    let log = service.nats.log()?;
    assert!(!log.contains(&other.connection.login), "{log}");
    Ok(())
}
