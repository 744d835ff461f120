//! Questions: which service answers what, with which messages.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::message as m;

/// A question over NATS request and reply. The payloads are canonical proto3 JSON.
pub trait Rpc {
    /// The service that answers; also the name under which `$SRV` discovers it (NATS ADR-32).
    const SERVICE: &'static str;
    /// The endpoint's name.
    const ENDPOINT: &'static str;
    /// Where to ask.
    const SUBJECT: &'static str;
    /// What is asked.
    type Request: Serialize + DeserializeOwned + Send;
    /// What is answered.
    type Reply: Serialize + DeserializeOwned + Send;
}

/// Header with the time, in milliseconds, that the asker still waits.
pub const DEADLINE_HEADER: &str = "Rowcast-Deadline-Ms";

/// Header of an answer whose body is a [`m::RpcError`].
pub const ERROR_HEADER: &str = "Rowcast-Error";

macro_rules! rpc {
    ($(#[$doc:meta])* $name:ident, $service:literal, $endpoint:literal, $request:ty => $reply:ty) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl Rpc for $name {
            const SERVICE: &'static str = $service;
            const ENDPOINT: &'static str = $endpoint;
            const SUBJECT: &'static str = concat!("rowcast.rpc.", $service, ".", $endpoint);
            type Request = $request;
            type Reply = $reply;
        }
    };
}

rpc!(
    /// Runs every check and reports.
    RunPrecheck, "precheck", "run", m::PrecheckRequest => m::PrecheckReport
);
rpc!(
    /// Goes to a source step by step, and tells how far the way leads.
    TestSource, "precheck", "test", m::TestSourceRequest => m::SourceTest
);
rpc!(
    /// Lists what a source has: databases, schemas, tables.
    BrowseSource, "precheck", "browse", m::BrowseRequest => m::ObjectPage
);
rpc!(
    /// What an instance costs.
    GetQuote, "billing", "quote", m::QuoteRequest => m::Quote
);
rpc!(
    /// Buys an instance for a task.
    PurchaseInstance, "billing", "purchase", m::PurchaseRequest => m::Instance
);
rpc!(
    /// The instance of a task, if it has one.
    GetInstance, "billing", "instance", m::InstanceRequest => m::InstanceReply
);
rpc!(
    /// The instances of several tasks, at most 200.
    ListInstances, "billing", "list_instances", m::ListInstancesRequest => m::ListInstancesReply
);
rpc!(
    /// Pays further months of a subscription.
    RenewInstance, "billing", "renew", m::RenewRequest => m::Instance
);
rpc!(
    /// Says whether a subscription is renewed by itself.
    UpdateInstance, "billing", "update_instance", m::UpdateInstanceRequest => m::Instance
);
rpc!(
    /// What a task has used, by hour.
    GetUsage, "billing", "usage", m::UsageRequest => m::UsageReply
);
rpc!(
    /// Creates a consumer group.
    CreateGroup, "consumer-group", "create", m::CreateGroupRequest => m::Group
);
rpc!(
    /// The groups of a task.
    ListGroups, "consumer-group", "list", m::ListGroupsRequest => m::ListGroupsReply
);
rpc!(
    /// One group.
    GetGroup, "consumer-group", "get", m::GroupRequest => m::Group
);
rpc!(
    /// What a client of the group needs to know.
    GetGroupConnection, "consumer-group", "connection", m::GroupRequest => m::GroupConnection
);
rpc!(
    /// Gives a group another name or password.
    UpdateGroup, "consumer-group", "update", m::UpdateGroupRequest => m::Group
);
rpc!(
    /// How the groups of several tasks get on, at most 200.
    ListConsumption, "consumer-group", "consumption", m::ListConsumptionRequest => m::ListConsumptionReply
);
rpc!(
    /// Moves what a group is sent next.
    MoveGroup, "consumer-group", "move", m::MoveGroupRequest => m::Group
);
rpc!(
    /// How it was with a group over time.
    GetGroupHistory, "consumer-group", "history", m::GroupHistoryRequest => m::GroupHistoryReply
);
rpc!(
    /// Changes that a group could not deal with.
    ListDeadLetters, "consumer-group", "dead_letters", m::ListDeadLettersRequest => m::ListDeadLettersReply
);
rpc!(
    /// One of them, with its body.
    GetDeadLetter, "consumer-group", "dead_letter", m::DeadLetterRequest => m::DeadLetter
);
rpc!(
    /// Sends dead letters to the group once more.
    RedriveDeadLetters, "consumer-group", "redrive", m::DeadLetterRequest => m::DeadLettersReply
);
rpc!(
    /// Puts away what an ordered group is to acknowledge next, so that it goes on behind it.
    SkipChange, "consumer-group", "skip", m::SkipChangeRequest => m::Group
);
rpc!(
    /// Removes dead letters for good.
    DiscardDeadLetters, "consumer-group", "discard", m::DeadLetterRequest => m::DeadLettersReply
);
rpc!(
    /// Deletes a group and closes its connections.
    DeleteGroup, "consumer-group", "delete", m::GroupRequest => m::DeleteGroupReply
);
rpc!(
    /// Incidents, newest first.
    ListIncidents, "alerting", "incidents", m::ListIncidentsRequest => m::ListIncidentsReply
);
rpc!(
    /// Makes or changes a contact.
    PutContact, "alerting", "put_contact", m::PutContactRequest => m::Contact
);
rpc!(
    /// All contacts.
    ListContacts, "alerting", "contacts", m::ListContactsRequest => m::ListContactsReply
);
rpc!(
    /// One contact.
    GetContact, "alerting", "contact", m::ContactRequest => m::Contact
);
rpc!(
    /// Deletes a contact.
    DeleteContact, "alerting", "delete_contact", m::ContactRequest => m::DeleteContactReply
);
rpc!(
    /// Tells a contact something, to see whether it is heard.
    TestContact, "alerting", "test_contact", m::ContactRequest => m::TestContactReply
);
rpc!(
    /// Makes or changes a rule.
    PutRule, "alerting", "put_rule", m::PutRuleRequest => m::AlertRule
);
rpc!(
    /// All rules.
    ListRules, "alerting", "rules", m::ListRulesRequest => m::ListRulesReply
);
rpc!(
    /// One rule.
    GetRule, "alerting", "rule", m::RuleRequest => m::AlertRule
);
rpc!(
    /// Deletes a rule; its incidents end.
    DeleteRule, "alerting", "delete_rule", m::RuleRequest => m::DeleteRuleReply
);
