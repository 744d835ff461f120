//! Other services, as far as a test needs their answers.

use rowcast_bus::refuse::Refusal as _;
use rowcast_bus::{Bus, Server, provision, refuse};
use rowcast_domain::TaskId;
use rowcast_proto::message::{
    ChargeType, CheckName, CheckOutcome, CheckResult, Contact, ContactRequest, Incident, Instance,
    InstanceReply, InstanceRequest, ListContactsReply, ListContactsRequest, ListGroupsReply,
    ListGroupsRequest, ListIncidentsReply, ListIncidentsRequest, PrecheckProgress, PrecheckReport,
    PrecheckRequest, PutContactRequest, RenewRequest, RpcError,
};
use rowcast_proto::rpc::{
    GetContact, GetInstance, ListContacts, ListGroups, ListIncidents, PutContact, RenewInstance,
    RunPrecheck,
};
use rowcast_proto::stream::PRECHECKS;
use rowcast_service::CancellationToken;
use tokio::sync::watch;

/// Answers until the test ends.
#[expect(
    clippy::disallowed_methods,
    reason = "the test's runtime ends it with the test"
)]
pub(crate) fn serve(server: Server) {
    tokio::spawn(server.run(CancellationToken::new()));
}

/// A consumer-group where no task has a group.
pub(crate) async fn groupless(bus: &Bus) {
    let mut server = Server::start(bus, "consumer-group", "0.0.0", "stands in")
        .await
        .unwrap();
    server
        .add::<ListGroups, _, _>(|_request: ListGroupsRequest| async move {
            Ok::<_, RpcError>(ListGroupsReply::default())
        })
        .await
        .unwrap();
    serve(server);
}

/// A billing where everything is bought.
pub(crate) async fn billing(bus: &Bus) {
    let mut server = Server::start(bus, "billing", "0.0.0", "stands in")
        .await
        .unwrap();
    server
        .add::<GetInstance, _, _>(|request: InstanceRequest| async move {
            let instance = Instance {
                id: "i000000000000".to_owned(),
                task_id: request.task_id,
                charge_type: ChargeType::PayAsYouGo.into(),
                ..Instance::default()
            };
            Ok::<_, RpcError>(InstanceReply {
                instance: Some(instance),
                ..InstanceReply::default()
            })
        })
        .await
        .unwrap();
    serve(server);
}

/// A billing that answers this about a task's instance.
pub(crate) async fn billing_of(
    bus: &Bus,
    instance: impl Fn(&TaskId) -> Instance + Clone + Send + Sync + 'static,
) {
    let mut server = Server::start(bus, "billing", "0.0.0", "stands in")
        .await
        .unwrap();
    server
        .add::<GetInstance, _, _>(move |request: InstanceRequest| {
            let instance = Some(instance(&request.task_id.parse().unwrap()));
            async move {
                Ok::<_, RpcError>(InstanceReply {
                    instance,
                    ..InstanceReply::default()
                })
            }
        })
        .await
        .unwrap();
    serve(server);
}

/// A billing that answers this to whoever renews.
pub(crate) async fn renewing(
    bus: &Bus,
    answer: impl Fn(RenewRequest) -> Result<Instance, RpcError> + Clone + Send + Sync + 'static,
) {
    let mut server = Server::start(bus, "billing", "0.0.0", "stands in")
        .await
        .unwrap();
    server
        .add::<RenewInstance, _, _>(move |request: RenewRequest| {
            let renewed = answer(request);
            async move { renewed }
        })
        .await
        .unwrap();
    serve(server);
}

/// An alerting that knows these incidents, and no filter.
pub(crate) async fn alerting(bus: &Bus, incidents: Vec<Incident>) {
    let mut server = Server::start(bus, "alerting", "0.0.0", "stands in")
        .await
        .unwrap();
    server
        .add::<ListIncidents, _, _>(move |_question: ListIncidentsRequest| {
            let incidents = incidents.clone();
            async move { Ok::<_, RpcError>(ListIncidentsReply { incidents }) }
        })
        .await
        .unwrap();
    serve(server);
}

/// A precheck that finds nothing, once `before` is done.
pub(crate) async fn precheck<F, W>(bus: &Bus, before: F)
where
    F: Fn() -> W + Clone + Send + Sync + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    prechecking(bus, move |request| {
        let before = before.clone();
        async move {
            before().await;
            report(request, Vec::new(), true)
        }
    })
    .await;
}

/// A precheck whose check `keys` ends as `outcome` says at the time.
pub(crate) async fn precheck_of(bus: &Bus, outcome: watch::Receiver<CheckOutcome>) {
    prechecking(bus, move |request| {
        let outcome = *outcome.borrow();
        async move {
            let item = |code: &str, outcome: CheckOutcome| CheckResult {
                code: code.to_owned(),
                outcome: outcome.into(),
                repair: "SELECT 1;".to_owned(),
                ..CheckResult::default()
            };
            let good = item("publication", CheckOutcome::Pass);
            assert!(request.started);
            let items = vec![item("keys", outcome), good];
            report(request, items, outcome == CheckOutcome::Pass)
        }
    })
    .await;
}

/// A precheck that finds what is there at the time, of the checks that are asked for.
pub(crate) async fn precheck_that(bus: &Bus, found: watch::Receiver<Vec<CheckResult>>) {
    prechecking(bus, move |request| {
        let mut items = found.borrow().clone();
        items.retain(|item| request.only.is_empty() || request.only.contains(&item.code));
        async move {
            let failed = |item: &CheckResult| item.outcome() == CheckOutcome::Fail;
            let passed = !items.iter().any(failed);
            report(request, items, passed)
        }
    })
    .await;
}

/// A precheck that ends each of its two checks once it may.
pub(crate) async fn precheck_in_steps(bus: &Bus, may: watch::Receiver<usize>) {
    let broker = bus.clone();
    prechecking(bus, move |request| {
        let (broker, mut may) = (broker.clone(), may.clone());
        async move {
            let task: TaskId = request.task_id.parse().unwrap();
            let mut progress = begun(&request.run, &task);
            tell_of_precheck(&broker, &progress).await;
            for nth in 0..progress.checks.len() {
                may.wait_for(|may| *may > nth).await.unwrap();
                progress.items.push(CheckResult {
                    code: progress.checks[nth].code.clone(),
                    outcome: CheckOutcome::Pass.into(),
                    ..CheckResult::default()
                });
                tell_of_precheck(&broker, &progress).await;
            }
            progress.finished_at = Some(chrono::Utc::now().into());
            tell_of_precheck(&broker, &progress).await;
            PrecheckReport {
                id: request.run.clone(),
                ..report(request, progress.items, true)
            }
        }
    })
    .await;
}

/// A run of two checks that has just begun.
pub(crate) fn begun(run: &str, task: &TaskId) -> PrecheckProgress {
    let checks = ["connectivity", "keys"].map(|code| CheckName {
        code: code.to_owned(),
        title: String::new(),
    });
    PrecheckProgress {
        run: run.to_owned(),
        task_id: task.to_string(),
        checks: checks.to_vec(),
        started_at: Some(chrono::Utc::now().into()),
        ..PrecheckProgress::default()
    }
}

/// Tells how far a run has come.
pub(crate) async fn tell_of_precheck(bus: &Bus, progress: &PrecheckProgress) {
    let store = provision::bucket(bus, &PRECHECKS).await.unwrap();
    let value = serde_json::to_vec(progress).unwrap();
    let task = progress.task_id.as_str();
    store.put(task, value.into()).await.unwrap();
}

async fn prechecking<F, W>(bus: &Bus, look: F)
where
    F: Fn(PrecheckRequest) -> W + Clone + Send + Sync + 'static,
    W: Future<Output = PrecheckReport> + Send + 'static,
{
    let mut server = Server::start(bus, "precheck", "0.0.0", "stands in")
        .await
        .unwrap();
    server
        .add::<RunPrecheck, _, _>(move |request: PrecheckRequest| {
            let looking = look(request);
            async move { Ok::<_, RpcError>(looking.await) }
        })
        .await
        .unwrap();
    serve(server);
}

fn report(request: PrecheckRequest, items: Vec<CheckResult>, passed: bool) -> PrecheckReport {
    let now = Some(chrono::Utc::now().into());
    PrecheckReport {
        id: uuid::Uuid::now_v7().to_string(),
        task_id: request.task_id,
        items,
        passed,
        success_percent: 100,
        started_at: now,
        finished_at: now,
    }
}

/// An alerting with these contacts, of which none is ever deleted.
pub(crate) async fn contacts(bus: &Bus, contacts: Vec<Contact>) {
    let mut server = Server::start(bus, "alerting", "0.0.0", "stands in")
        .await
        .unwrap();
    let all = contacts.clone();
    server
        .add::<ListContacts, _, _>(move |_all: ListContactsRequest| {
            let contacts = all.clone();
            async move { Ok::<_, RpcError>(ListContactsReply { contacts }) }
        })
        .await
        .unwrap();
    server
        .add::<GetContact, _, _>(move |request: ContactRequest| {
            let mut contacts = contacts.clone().into_iter();
            async move {
                let found = contacts.find(|contact| contact.id == request.contact_id);
                found.ok_or_else(|| {
                    refuse::not_found("contact_not_found", "there is none").repair("List them.")
                })
            }
        })
        .await
        .unwrap();
    server
        .add::<PutContact, _, _>(|request: PutContactRequest| async move {
            let contact = request.contact.unwrap_or_default();
            let created_at = Some(chrono::Utc::now().into());
            Ok::<_, RpcError>(Contact {
                created_at,
                ..contact
            })
        })
        .await
        .unwrap();
    serve(server);
}
