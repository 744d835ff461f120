//! Facts: subjects of the stream `ROWCAST_EVENTS` and the messages on them.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::message as m;

/// A fact that a service tells all others.
pub trait Event: Serialize + DeserializeOwned + Send {
    /// `rowcast.event.<service>.<entity>.<verb>`.
    const SUBJECT: &'static str;

    /// Id, time and trace of the event; `None` in a message that does not carry them, which a
    /// consumer parks.
    fn meta(&self) -> Option<&m::EventMeta>;
}

macro_rules! event {
    ($name:ident, $subject:literal) => {
        impl Event for m::$name {
            const SUBJECT: &'static str = $subject;

            fn meta(&self) -> Option<&m::EventMeta> {
                self.meta.as_ref()
            }
        }
    };
}

event!(
    TaskStateChanged,
    "rowcast.event.task-api.task.state_changed"
);
event!(TaskRechecked, "rowcast.event.task-api.task.rechecked");
event!(
    InstancePurchased,
    "rowcast.event.billing.instance.purchased"
);
event!(
    InstanceStateChanged,
    "rowcast.event.billing.instance.state_changed"
);
event!(UsageMetered, "rowcast.event.billing.usage.metered");
event!(GroupCreated, "rowcast.event.consumer-group.group.created");
event!(GroupDeleted, "rowcast.event.consumer-group.group.deleted");
event!(GroupMoved, "rowcast.event.consumer-group.group.moved");
event!(
    GroupStateChanged,
    "rowcast.event.consumer-group.group.state_changed"
);
event!(
    DeadLettersPutAway,
    "rowcast.event.consumer-group.dead_letter.put_away"
);
event!(LoginSeen, "rowcast.event.consumer-group.login.seen");
event!(IncidentRaised, "rowcast.event.alerting.incident.raised");
event!(IncidentResolved, "rowcast.event.alerting.incident.resolved");
