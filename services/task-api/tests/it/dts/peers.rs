//! Other services, as far as the aliases need more of them than the routes' own tests do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rowcast_bus::{Bus, Server};
use rowcast_proto::message::move_group_request::Target;
use rowcast_proto::message::{
    ChargeType, CheckOutcome, CheckResult, CreateGroupRequest, DeleteGroupReply, Group,
    GroupRequest, Instance, InstanceReply, InstanceRequest, ListGroupsReply, ListGroupsRequest,
    ListInstancesReply, ListInstancesRequest, MoveGroupRequest, PrecheckReport, PrecheckRequest,
    PurchaseRequest, RenewRequest, RpcError, UpdateGroupRequest,
};
use rowcast_proto::rpc::{
    CreateGroup, DeleteGroup, GetInstance, ListGroups, ListInstances, MoveGroup, PurchaseInstance,
    RenewInstance, RunPrecheck, UpdateGroup,
};

use crate::stand_in::serve;

async fn server(bus: &Bus, service: &'static str) -> Server {
    Server::start(bus, service, "0.0.0", "stands in")
        .await
        .unwrap()
}

/// A precheck that finds this.
pub(super) async fn precheck(bus: &Bus, items: Vec<CheckResult>) {
    let mut server = server(bus, "precheck").await;
    let answer = move |request: PrecheckRequest| {
        let items = items.clone();
        async move {
            let now = Some(chrono::Utc::now().into());
            let passed = items
                .iter()
                .all(|item| item.outcome() != CheckOutcome::Fail);
            Ok::<_, RpcError>(PrecheckReport {
                id: uuid::Uuid::now_v7().to_string(),
                task_id: request.task_id,
                items,
                passed,
                success_percent: 50,
                started_at: now,
                finished_at: now,
            })
        }
    };
    server.add::<RunPrecheck, _, _>(answer).await.unwrap();
    serve(server);
}

/// How many instances were sold.
#[derive(Debug, Clone, Default)]
pub(super) struct Sold(Arc<AtomicUsize>);

impl Sold {
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A billing where one instance is sold.
pub(super) async fn billing(bus: &Bus) -> Sold {
    let count = Sold::default();
    let counted = count.clone();
    let sold = Arc::new(Mutex::new(None));
    let mut server = server(bus, "billing").await;
    let shelf = Arc::clone(&sold);
    let purchase = move |request: PurchaseRequest| {
        assert_eq!(request.charge_type(), ChargeType::PayAsYouGo);
        counted.0.fetch_add(1, Ordering::Relaxed);
        let instance = Instance {
            id: "n000000000000".to_owned(),
            task_id: request.task_id,
            charge_type: request.charge_type,
            purchased_at: Some(chrono::Utc::now().into()),
            ..Instance::default()
        };
        *shelf.lock().unwrap() = Some(instance.clone());
        async move { Ok::<_, RpcError>(instance) }
    };
    server
        .add::<PurchaseInstance, _, _>(purchase)
        .await
        .unwrap();
    let get = move |_question: InstanceRequest| {
        let instance = sold.lock().unwrap().clone();
        async move {
            Ok::<_, RpcError>(InstanceReply {
                instance,
                ..InstanceReply::default()
            })
        }
    };
    server.add::<GetInstance, _, _>(get).await.unwrap();
    serve(server);
    count
}

/// A billing that sells subscriptions, all of one time.
pub(super) async fn subscriptions(bus: &Bus, expires_at: chrono::DateTime<chrono::Utc>) {
    let sold = Arc::new(Mutex::new(None));
    let mut server = server(bus, "billing").await;
    let shelf = Arc::clone(&sold);
    let purchase = move |request: PurchaseRequest| {
        assert_eq!(request.charge_type(), ChargeType::Subscription);
        let instance = Instance {
            id: "n000000000000".to_owned(),
            task_id: request.task_id,
            charge_type: request.charge_type,
            months: request.months,
            purchased_at: Some(chrono::Utc::now().into()),
            expires_at: Some(expires_at.into()),
            ..Instance::default()
        };
        *shelf.lock().unwrap() = Some(instance.clone());
        async move { Ok::<_, RpcError>(instance) }
    };
    server
        .add::<PurchaseInstance, _, _>(purchase)
        .await
        .unwrap();
    let shelf = Arc::clone(&sold);
    let renew = move |request: RenewRequest| {
        let mut sold = shelf.lock().unwrap();
        let instance = sold.as_mut().unwrap();
        instance.months += request.months;
        let instance = instance.clone();
        async move { Ok::<_, RpcError>(instance) }
    };
    server.add::<RenewInstance, _, _>(renew).await.unwrap();
    let shelf = Arc::clone(&sold);
    let get = move |_question: InstanceRequest| {
        let instance = shelf.lock().unwrap().clone();
        async move {
            Ok::<_, RpcError>(InstanceReply {
                instance,
                ..InstanceReply::default()
            })
        }
    };
    server.add::<GetInstance, _, _>(get).await.unwrap();
    let list = move |_question: ListInstancesRequest| {
        let instances = sold.lock().unwrap().clone().into_iter().collect();
        async move { Ok::<_, RpcError>(ListInstancesReply { instances }) }
    };
    server.add::<ListInstances, _, _>(list).await.unwrap();
    serve(server);
}

/// A consumer-group that keeps what it is told in memory.
pub(super) async fn groups(bus: &Bus) {
    let kept = Arc::new(Mutex::new(Vec::<Group>::new()));
    let mut server = server(bus, "consumer-group").await;
    let groups = Arc::clone(&kept);
    let create = move |request: CreateGroupRequest| {
        let group = Group {
            id: "g000000000000".to_owned(),
            task_id: request.task_id,
            name: request.name,
            account: request.account,
            created_at: Some(chrono::Utc::now().into()),
            acknowledged_sequence: 0,
            pending: 3,
            in_flight: 2,
            status: None,
            mode: request.mode,
            etl: request.etl,
            format: request.format,
            max_deliver: 10,
            on_exhausted: request.on_exhausted,
            delivery: request.delivery,
        };
        groups.lock().unwrap().push(group.clone());
        async move { Ok::<_, RpcError>(group) }
    };
    server.add::<CreateGroup, _, _>(create).await.unwrap();
    let groups = Arc::clone(&kept);
    let update = move |request: UpdateGroupRequest| {
        let mut groups = groups.lock().unwrap();
        let group = groups.first_mut().unwrap();
        group.name = request.name;
        let group = group.clone();
        async move { Ok::<_, RpcError>(group) }
    };
    server.add::<UpdateGroup, _, _>(update).await.unwrap();
    let groups = Arc::clone(&kept);
    let seek = move |request: MoveGroupRequest| {
        let at = "2026-11-29T10:00:00Z".parse::<chrono::DateTime<chrono::Utc>>();
        assert_eq!(request.target, Some(Target::Time(at.unwrap().into())));
        assert!(!request.force);
        let group = groups.lock().unwrap().first().unwrap().clone();
        async move { Ok::<_, RpcError>(group) }
    };
    server.add::<MoveGroup, _, _>(seek).await.unwrap();
    let groups = Arc::clone(&kept);
    let list = move |_question: ListGroupsRequest| {
        let groups = groups.lock().unwrap().clone();
        async move { Ok::<_, RpcError>(ListGroupsReply { groups }) }
    };
    server.add::<ListGroups, _, _>(list).await.unwrap();
    let delete = move |question: GroupRequest| {
        kept.lock()
            .unwrap()
            .retain(|group| group.id != question.group_id);
        async move { Ok::<_, RpcError>(DeleteGroupReply {}) }
    };
    server.add::<DeleteGroup, _, _>(delete).await.unwrap();
    serve(server);
}
