//! Another retention for a task that runs.

use async_nats::jetstream::{self, stream};
use rowcast_proto::message::{CaptureState, DesiredState, Retention};
use rowcast_proto::stream::task_stream;
use rowcast_testkit::eventually;

use crate::load::{Load, TABLES};
use crate::world::{PATIENCE, World};

const HOUR: u64 = 3600;

impl World {
    async fn limits(&self) -> stream::Config {
        let context = jetstream::new(self.data.clone());
        let stream = context.get_stream(task_stream(&self.task)).await.unwrap();
        stream.cached_info().config.clone()
    }

    async fn wants_kept(&mut self, hours: u64, bytes: u64) {
        self.wish.retention = Some(Retention {
            age_seconds: hours * HOUR,
            bytes,
        });
        self.desire(DesiredState::Running).await;
        self.reaches(CaptureState::Running).await;
    }
}

#[tokio::test]
async fn a_running_task_keeps_as_long_as_its_user_wants_now() {
    let mut world = Box::pin(World::streaming(TABLES)).await;
    let load = Load::new(&world.postgres);
    let changes = load.during(async {
        world.grows_by(50).await;
        world.wants_kept(48, 1 << 30).await;
        world.grows_by(50).await;
    });
    Box::pin(changes).await;
    let kept = world.limits().await;
    assert_eq!(
        (kept.max_age.as_secs(), kept.max_bytes),
        (48 * HOUR, 1 << 30)
    );
    Box::pin(load.is_told(&world)).await;

    // What somebody has set on purpose is told, and stays until the user wants something else.
    let by_hand = stream::Config {
        max_bytes: 2 << 30,
        max_messages: 1_000_000,
        ..kept
    };
    let context = jetstream::new(world.data.clone());
    context.update_stream(by_hand).await.unwrap();
    world.desire(DesiredState::Suspended).await;
    world.reaches(CaptureState::Suspended).await;
    world.desire(DesiredState::Running).await;
    world.reaches(CaptureState::Running).await;
    assert_eq!(world.limits().await.max_bytes, 2 << 30);
    eventually("the difference is told", PATIENCE, async || {
        let warnings = world.status().await.unwrap().warnings;
        warnings.iter().any(|warning| warning.contains("max_bytes"))
    })
    .await;
    world.wants_kept(24, 1 << 30).await;
    let kept = world.limits().await;
    assert_eq!(
        (kept.max_age.as_secs(), kept.max_bytes),
        (24 * HOUR, 1 << 30)
    );
    assert_eq!(kept.max_messages, 1_000_000);

    // Also while nobody reads.
    world.wish.retention = Some(Retention {
        age_seconds: 72 * HOUR,
        bytes: 1 << 30,
    });
    world.desire(DesiredState::Suspended).await;
    world.reaches(CaptureState::Suspended).await;
    assert_eq!(world.limits().await.max_age.as_secs(), 72 * HOUR);

    // More than NATS has room for.
    world.wants_kept(24, 1 << 60).await;
    assert_eq!(world.limits().await.max_bytes, 1 << 30);
    eventually("the refusal is told", PATIENCE, async || {
        let warnings = world.status().await.unwrap().warnings;
        warnings.iter().any(|warning| warning.contains("max_bytes"))
    })
    .await;
}
