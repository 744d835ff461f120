//! The NATS servers that will keep the task's changes, as they are now.

use rowcast_bus::Replicas;
use rowcast_bus::monitor::{Answer, Monitors, ServerState};
use rowcast_proto::message::Retention;

/// What the checks of the broker judge.
#[derive(Debug)]
pub(crate) struct Broker {
    /// What each server says.
    pub(crate) servers: Vec<Answer<ServerState>>,
    /// How often each change is to be kept.
    pub(crate) replicas: usize,
    /// How much the task's stream may keep; `None` where it has its stream already.
    pub(crate) retention: Option<Retention>,
}

impl Broker {
    /// Asks every server.
    pub(crate) async fn ask(
        monitors: &Monitors,
        replicas: Replicas,
        retention: Option<Retention>,
    ) -> Self {
        Self {
            servers: monitors.servers().await,
            replicas: replicas.count(),
            retention,
        }
    }

    /// The servers that answer and keep streams.
    pub(crate) fn storing(&self) -> impl Iterator<Item = &ServerState> {
        self.servers
            .iter()
            .filter_map(|answer| answer.said.as_ref().ok())
            .filter(|server| server.has_jetstream())
    }
}

/// Bytes for people: `1.5 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let Some(unit) = (1..=UNITS.len())
        .rev()
        .find(|unit| bytes >> (10 * unit) > 0)
    else {
        return format!("{bytes} B");
    };
    let tenths = (u128::from(bytes) * 10) >> (10 * unit);
    let name = UNITS.get(unit - 1).copied().unwrap_or_default();
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A broker of these servers, each as what stands under `jetstream` in its `/varz`.
    pub(crate) fn broker(servers: &[serde_json::Value], replicas: usize) -> Broker {
        let answer = |(index, jetstream): (usize, &serde_json::Value)| {
            let varz = json!({
                "server_name": format!("n{index}"), "version": "2.15.1", "jetstream": jetstream,
            });
            Answer {
                url: format!("http://n{index}:8222"),
                said: Ok(serde_json::from_value(varz).unwrap()),
            }
        };
        Broker {
            servers: servers.iter().enumerate().map(answer).collect(),
            replicas,
            retention: None,
        }
    }

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(10 << 30), "10.0 GiB");
        assert_eq!(size(u64::MAX), "16383.9 PiB");
    }
}
