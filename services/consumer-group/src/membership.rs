//! Answers members of keyed and ordered groups, which ask once a second what they may read.
//!
//! ```text
//! member ─▶ heard ─▶ whose lease is over? ─▶ what they left comes again ─▶ who is due what? ─▶ held, wanted back
//! ```
//!
//! Everything is decided in transactions that have locked the group, so that copies of the service agree. A share
//! is given to a member only after the one that held it has let it go, has left, or has not asked for the time of a
//! lease; that one has stopped by then, for it counts the lease from when it asked.

use std::collections::HashSet;
use std::time::Duration;

use futures::StreamExt as _;
use rowcast_bus::async_nats::{HeaderMap, Message, Subscriber};
use rowcast_bus::refuse;
use rowcast_bus::refuse::Refusal as _;
use rowcast_domain::GroupId;
use rowcast_proto::message::{HeldShare, MemberReply, MemberRequest, RpcError};
use rowcast_proto::rpc::ERROR_HEADER;
use rowcast_proto::subject::{MEMBER_UNDECIDED, MEMBERS, member_group};
use rowcast_service::{BoxError, CancellationToken, Kind, Tasks};
use sqlx::postgres::PgConnection;

use crate::hearing::{Hearing, LEASE};
use crate::state::State;
use crate::store::group::Group;
use crate::store::share::Share;
use crate::turns::Turns;
use crate::{assign, connection, give_back, kick, own_consumers, store};

/// Copies of the service share the questions.
const QUEUE: &str = "consumer-group";

/// Questions answered at a time; most of them wait for their turn to decide.
const CONCURRENT: usize = 256;

/// Questions decided at a time. Each takes a connection to the database, of which others need some too.
const DECIDED: usize = 6;

/// How long a decision may take: a member waits two seconds, and must hear whether nobody can decide.
const DECISION: Duration = Duration::from_millis(1500);

/// How long the closing of connections may take of that.
const CLOSING: Duration = Duration::from_millis(500);

/// Hears the questions from now on, and spawns what answers them.
///
/// # Errors
/// Where NATS does not let us subscribe.
pub(crate) async fn spawn(
    state: &State,
    tasks: &Tasks,
    stop: &CancellationToken,
) -> Result<(), BoxError> {
    let client = state.data.client();
    let undecided = client.subscribe(MEMBER_UNDECIDED).await?;
    let questions = client.queue_subscribe(MEMBERS, QUEUE.into()).await?;
    state.data.round_trip().await?;
    let hearing = Hearing::begin(client);
    let heeding = heed(undecided, hearing.clone(), stop.clone());
    tasks.spawn(Kind::Essential, "membership of other copies", heeding);
    let answering = run(state.clone(), questions, hearing, stop.clone());
    tasks.spawn(Kind::Essential, "membership", answering);
    Ok(())
}

/// Begins to hear anew whenever a copy could not decide, until told to stop.
async fn heed(
    mut undecided: Subscriber,
    hearing: Hearing,
    stop: CancellationToken,
) -> Result<(), BoxError> {
    while let Some(Some(told)) = stop.run_until_cancelled(undecided.next()).await {
        let group = std::str::from_utf8(&told.payload).ok();
        hearing.interrupted(group.and_then(|id| id.parse().ok()).as_ref());
    }
    if stop.is_cancelled() {
        Ok(())
    } else {
        Err("the subscription to what other copies say of members has ended".into())
    }
}

/// Answers until told to stop, then finishes the questions it has taken.
async fn run(
    state: State,
    questions: Subscriber,
    hearing: Hearing,
    stop: CancellationToken,
) -> Result<(), BoxError> {
    let (state, hearing, turns) = (&state, &hearing, &Turns::new(DECIDED));
    questions
        .take_until(stop.cancelled())
        .for_each_concurrent(CONCURRENT, |question| async move {
            if let Err(error) = answer(state, hearing, turns, question).await {
                tracing::warn!(error = %error, "question of a member not answered");
            }
        })
        .await;
    if stop.is_cancelled() {
        Ok(())
    } else {
        Err("the subscription to questions of members has ended".into())
    }
}

async fn answer(
    state: &State,
    hearing: &Hearing,
    turns: &Turns,
    question: Message,
) -> Result<(), BoxError> {
    let Some(reply_to) = question.reply else {
        return Err("a question without a reply subject".into());
    };
    // Whose group it is says the subject, which the server has checked.
    let group = member_group(&question.subject);
    let answer = match (group, serde_json::from_slice(&question.payload)) {
        (Some(group), Ok(request)) => {
            Box::pin(decide(state, hearing, turns, (&group, &request))).await
        }
        (Some(_), Err(error)) => Err(refuse::invalid(
            "malformed_question",
            format!("the question is malformed: {error}"),
        )),
        (None, _) => Err(refuse::not_found("group_not_found", "no such group")),
    };
    let mut headers = HeaderMap::new();
    let body = match answer {
        Ok(reply) => serde_json::to_vec(&reply)?,
        Err(refusal) => {
            headers.insert(ERROR_HEADER, refusal.code.as_str());
            serde_json::to_vec(&refusal)?
        }
    };
    let client = state.data.client();
    client
        .publish_with_headers(reply_to, headers, body.into())
        .await?;
    Ok(())
}

async fn decide(
    state: &State,
    hearing: &Hearing,
    turns: &Turns,
    (group, request): (&GroupId, &MemberRequest),
) -> Result<MemberReply, RpcError> {
    check(&request.member_id)?;
    let decision = async {
        let _turn = turns.take(group).await?;
        within_transaction(state, hearing, group, request).await
    };
    let error = match tokio::time::timeout(DECISION, decision).await {
        Ok(Ok(decided)) => return decided,
        Ok(Err(error)) => error,
        Err(elapsed) => elapsed.into(),
    };
    hearing.interrupted(Some(group));
    // The member goes on with what it has: the other copies must know.
    let told = state
        .data
        .client()
        .publish(MEMBER_UNDECIDED, group.to_string().into());
    if let Err(error) = told.await {
        tracing::warn!(group = %group, %error, "other copies do not know that nothing was decided");
    }
    tracing::error!(group = %group, error = %error, "shares of the group not decided");
    let detail = "consumer-group cannot decide now what the member may read";
    Err(refuse::unavailable("member_undecided", detail).repair("ask again in a second"))
}

/// A name that a member has made up: nothing that grows.
fn check(member_id: &str) -> Result<(), RpcError> {
    let is_hexadecimal = member_id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if member_id.len() == 16 && is_hexadecimal {
        return Ok(());
    }
    let detail = "a member has 16 hexadecimal digits for its name";
    Err(refuse::invalid("member_id_malformed", detail)
        .field("member_id")
        .repair("make up a random one for each process"))
}

async fn within_transaction(
    state: &State,
    hearing: &Hearing,
    group_id: &GroupId,
    request: &MemberRequest,
) -> Result<Result<MemberReply, RpcError>, BoxError> {
    let mut transaction = state.pool.begin().await?;
    let Some(group) = locked(&mut transaction, group_id).await? else {
        return Ok(Err(deleted()));
    };
    if !group.has_shares() {
        let detail = "any member of a shared or a push group may read all of it";
        return Ok(Err(refuse::invalid("group_shared", detail)));
    }
    note(&mut transaction, &group, request).await?;
    let mut has_left = request.leaves || !request.released.is_empty();
    if hearing.is_sure(state.data.client(), group_id) {
        has_left |= end_leases(state, &mut transaction, &group).await?;
    }
    if has_left {
        // What was let go stays so where giving it to others takes too long, or this process ends: a consumer in the
        // middle of giving back would send everything again and again, to a member that has it no longer, until it is
        // given away once more.
        transaction.commit().await?;
        transaction = state.pool.begin().await?;
        if locked(&mut transaction, group_id).await?.is_none() {
            return Ok(Err(deleted()));
        }
    }
    let (members, shares, plan) = share_out(state, &mut transaction, &group).await?;
    transaction.commit().await?;
    for &(share, member) in &plan.given {
        if let (Some(share), Some(member)) = (shares.get(share), members.get(member)) {
            tracing::info!(group = %group_id, task = %group.task_id, consumer = share.consumer, member, "share given");
        }
    }
    Ok(Ok(reply(&request.member_id, &shares, &plan)))
}

/// The group, unless it is deleted, with its shares for this transaction alone.
async fn locked(
    transaction: &mut PgConnection,
    group: &GroupId,
) -> Result<Option<Group>, BoxError> {
    store::share::lock(transaction, group).await?;
    let group = store::group::by_id(&mut *transaction, group).await?;
    Ok(group.filter(|group| group.deleted_at.is_none()))
}

fn deleted() -> RpcError {
    refuse::not_found("group_not_found", "the group is deleted")
}

/// What the member says of itself. What it lets go and no share of the group can be, it does not have.
async fn note(
    transaction: &mut PgConnection,
    group: &Group,
    request: &MemberRequest,
) -> Result<(), BoxError> {
    let member = &request.member_id;
    if request.leaves {
        let leaves = std::slice::from_ref(member);
        return Ok(store::share::leave(transaction, &group.id, leaves).await?);
    }
    store::share::hear(transaction, &group.id, member).await?;
    if request.released.is_empty() {
        return Ok(());
    }
    let names: HashSet<String> = own_consumers::names(group).collect();
    for share in &request.released {
        if let Ok(epoch) = i64::try_from(share.epoch)
            && names.contains(&share.consumer)
        {
            let share = (share.consumer.as_str(), epoch);
            store::share::release(transaction, &group.id, member, share).await?;
        }
    }
    Ok(())
}

/// Takes those from the group that have not asked for the time of a lease, and says whether there are any.
async fn end_leases(
    state: &State,
    transaction: &mut PgConnection,
    group: &Group,
) -> Result<bool, BoxError> {
    let lease = i64::try_from(LEASE.as_millis())?;
    let silent = store::share::silent(transaction, &group.id, lease).await?;
    if silent.is_empty() {
        return Ok(false);
    }
    tracing::info!(group = %group.id, task = %group.task_id, members = silent.len(), "members have gone silent");
    let login = connection::login(&group.account, &group.id);
    // What comes again must not be sent to a process that stands still, over a connection that is still there.
    // A server that does not answer, as one that has died, does not keep the others from taking over.
    let closing = kick::members(&state.system, &login, &silent);
    match tokio::time::timeout(CLOSING, closing).await {
        Ok(Ok(_closed)) => {}
        Ok(Err(error)) => {
            tracing::warn!(group = %group.id, task = %group.task_id, %error, "connections of silent members not closed");
        }
        Err(_elapsed) => {
            tracing::warn!(group = %group.id, task = %group.task_id, "not all servers tell the connections of silent members");
        }
    }
    store::share::leave(transaction, &group.id, &silent).await?;
    Ok(true)
}

type Decided = (Vec<String>, Vec<Share>, assign::Plan);

/// Gives away what nobody holds.
async fn share_out(
    state: &State,
    transaction: &mut PgConnection,
    group: &Group,
) -> Result<Decided, BoxError> {
    let wanted: Vec<String> = own_consumers::names(group).collect();
    let mut shares = store::share::of_group(transaction, &group.id).await?;
    if shares.len() < wanted.len() {
        store::share::add(transaction, &group.id, &wanted).await?;
        shares = store::share::of_group(transaction, &group.id).await?;
    }
    let members = store::share::members(transaction, &group.id).await?;
    let mut plan = assign::plan(&members, &shares);
    let mut left = 0;
    plan.given.retain(|&(share, _member)| {
        left += usize::from(shares.get(share).is_some_and(|share| share.is_left));
        left <= give_back::AT_A_TIME
    });
    let given = || {
        plan.given
            .iter()
            .filter_map(|&(share, _)| shares.get(share))
    };
    let left = given()
        .filter(|share| share.is_left)
        .map(|share| share.consumer.clone())
        .collect();
    give_back::at_once(&state.data, group, left).await?;
    for &(share, member) in &plan.given {
        if let (Some(share), Some(member)) = (shares.get_mut(share), members.get(member)) {
            store::share::give(transaction, &group.id, &share.consumer, member).await?;
            share.holder = Some(member.clone());
            share.epoch += 1;
        }
    }
    Ok((members, shares, plan))
}

fn reply(member: &str, shares: &[Share], plan: &assign::Plan) -> MemberReply {
    let own = |share: &&Share| share.holder.as_deref() == Some(member);
    let held = shares.iter().filter(own).map(to_message);
    let wanted_back = plan
        .wanted_back
        .iter()
        .filter_map(|&share| shares.get(share));
    MemberReply {
        held: held.collect(),
        wanted_back: wanted_back.filter(own).map(to_message).collect(),
        lease_ms: u64::try_from(LEASE.as_millis()).unwrap_or_default(),
    }
}

fn to_message(share: &Share) -> HeldShare {
    HeldShare {
        consumer: share.consumer.clone(),
        // Counts up from 0.
        epoch: u64::try_from(share.epoch).unwrap_or_default(),
    }
}
