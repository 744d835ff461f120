//! What other services know of tasks, told beside what this one knows where a request asks for it.
//!
//! A service that does not answer leaves its part out: a list of tasks does not fail for want of a price.

use std::collections::BTreeMap;

use rowcast_bus::request::ask;
use rowcast_domain::TaskId;
use rowcast_proto::message::{ListConsumptionRequest, ListInstancesRequest, TaskConsumption};
use rowcast_proto::rest::{Consumption, Instance, Task};
use rowcast_proto::rpc::{ListConsumption, ListInstances};

use super::ASK_TIMEOUT;
use super::query::malformed_parameter;
use crate::convert;
use crate::error::ApiError;
use crate::state::App;

/// Most tasks in a question.
const TASKS_AT_ONCE: usize = 200;

/// What is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Beside {
    instance: bool,
    consumption: bool,
}

impl Beside {
    /// What the parameter `with` names, with commas between.
    ///
    /// # Errors
    /// Where it names something else.
    pub(crate) fn read(with: Option<&str>) -> Result<Self, ApiError> {
        let mut beside = Self::default();
        for name in with.into_iter().flat_map(|with| with.split(',')) {
            match name {
                "instance" => beside.instance = true,
                "consumption" => beside.consumption = true,
                _other => {
                    let detail = format!("{name:?} is nothing that can be told of a task");
                    let repair = "Give instance, consumption, or both with a comma between.";
                    return Err(malformed_parameter("with", &detail, repair));
                }
            }
        }
        Ok(beside)
    }

    /// Adds it to the tasks.
    pub(crate) async fn add(self, app: &App, tasks: &mut [Task]) {
        let ids: Vec<TaskId> = tasks.iter().map(|task| task.id.clone()).collect();
        let ids: Vec<&TaskId> = ids.iter().collect();
        let instances = async {
            match self.instance {
                true => instances(app, &ids).await,
                false => BTreeMap::new(),
            }
        };
        let consumptions = async {
            match self.consumption {
                true => consumptions(app, &ids).await,
                false => BTreeMap::new(),
            }
        };
        let (mut instances, mut consumptions) = tokio::join!(instances, consumptions);
        for task in tasks {
            task.instance = instances.remove(&task.id);
            task.consumption = consumptions.remove(&task.id);
        }
    }
}

/// What was bought for these tasks, as far as billing answers.
pub(crate) async fn instances(app: &App, tasks: &[&TaskId]) -> BTreeMap<TaskId, Instance> {
    let mut found = BTreeMap::new();
    for ids in tasks.chunks(TASKS_AT_ONCE) {
        let question = ListInstancesRequest {
            task_ids: ids.iter().map(ToString::to_string).collect(),
        };
        let told = match ask::<ListInstances>(app.bus(), &question, ASK_TIMEOUT).await {
            Ok(told) => told.instances,
            Err(error) => {
                tracing::warn!(%error, "tasks are listed without their instances");
                return found;
            }
        };
        for instance in told {
            match convert::instance(instance) {
                Ok(instance) => {
                    found.insert(instance.task_id.clone(), instance);
                }
                Err(error) => tracing::warn!(%error, "an instance is not understood"),
            }
        }
    }
    found
}

/// How the groups of these tasks get on, as far as consumer-group answers; of a task without groups, that it has
/// none.
pub(crate) async fn consumptions(app: &App, tasks: &[&TaskId]) -> BTreeMap<TaskId, Consumption> {
    let mut found = BTreeMap::new();
    for ids in tasks.chunks(TASKS_AT_ONCE) {
        let question = ListConsumptionRequest {
            task_ids: ids.iter().map(ToString::to_string).collect(),
        };
        let told = match ask::<ListConsumption>(app.bus(), &question, ASK_TIMEOUT).await {
            Ok(told) => told.tasks,
            Err(error) => {
                tracing::warn!(%error, "tasks are listed without their consumption");
                return found;
            }
        };
        let none = ids.iter().map(|id| ((*id).clone(), Consumption::default()));
        found.extend(none);
        for consumption in told {
            if let Ok(id) = consumption.task_id.parse() {
                found.insert(id, in_short(consumption));
            }
        }
    }
    found
}

fn in_short(told: TaskConsumption) -> Consumption {
    let at = told.at.and_then(|at| at.try_into().ok());
    Consumption {
        groups: told.groups,
        members: told.members,
        slowest: at.map(|_at| told.slowest),
        delay_seconds: at.map(|_at| told.delay_seconds),
        unread: at.map(|_at| told.unread),
        acknowledged_sequence: at.map(|_at| told.acknowledged_sequence),
        acknowledged_at: told.acknowledged_at.and_then(|at| at.try_into().ok()),
        clients: told.clients,
        at,
    }
}
