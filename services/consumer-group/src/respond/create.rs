//! Creates a group. The same request key creates once.

mod attempts;
mod derived;

use chrono::{DateTime, Utc};
use rowcast_bus::refuse::Refusal as _;
use rowcast_bus::{event_meta, refuse};
use rowcast_domain::{GroupId, Secret, TaskId};
use rowcast_proto::message::{
    self, CreateGroupRequest, EtlPolicy, GroupCreated, GroupFormat, RpcError, SealedSecret,
};
use rowcast_proto::rest::{GroupDelivery, GroupMode, OnExhausted};
use rowcast_service::keyring::{self, Sealed};

use super::{check_task_id, database, to_message};
use crate::consumer::{self, Created, Position};
use crate::password::{self, HashError};
use crate::state::State;
use crate::store::group::{Derived, Group};
use crate::{outbox, store};

pub(super) use self::attempts::{check_max_deliver, check_on_exhausted, on_exhausted};
pub(super) use self::derived::policy;

/// Characters in a name.
const MAX_NAME: usize = 64;

/// Characters in an account.
const MAX_ACCOUNT: usize = 16;

/// Bytes in a request key; an index entry must stay small.
const MAX_REQUEST_KEY: usize = 255;

/// Most key partitions of a task.
const MAX_PARTITIONS: u32 = 256;

/// What became of a creation.
enum Outcome {
    /// Made now.
    Created,
    /// A request with the same key made this one before, perhaps at the same time.
    Before(Box<Group>),
    /// The task has a group of that name.
    NameTaken,
    /// The task has as many groups as it may.
    TooMany,
    /// The task is released, and its groups with it.
    Released,
}

/// A request that can be carried out.
struct Wish {
    task_id: TaskId,
    name: String,
    account: String,
    password: Secret,
    mode: GroupMode,
    delivery: GroupDelivery,
    /// Of a keyed group; 0 of another one, which does not use them.
    partitions: u32,
    derived: Option<Derived>,
    max_deliver: u32,
    on_exhausted: OnExhausted,
    request_key: Option<String>,
}

pub(super) async fn answer(
    state: State,
    question: CreateGroupRequest,
) -> Result<message::Group, RpcError> {
    let wish = check(&state, &question)?;
    if let Some(key) = &wish.request_key
        && let Some(group) = store::group::by_request_key(&state.pool, &wish.task_id, key)
            .await
            .map_err(database)?
    {
        return repeat(&state, &wish, group).await;
    }
    let hash = state.hasher.hash(wish.password.clone()).await;
    let group = new_group(&wish, hash.map_err(hashing)?, Utc::now());
    match insert(&state, &wish, &group).await.map_err(database)? {
        Outcome::Created => {}
        Outcome::Before(group) => return repeat(&state, &wish, *group).await,
        Outcome::NameTaken => return Err(name_taken(&wish.name)),
        Outcome::TooMany => return Err(too_many(&state)),
        Outcome::Released => return Err(released(&wish.task_id)),
    }
    tracing::info!(group = %group.id, task = %group.task_id, actor = question.actor, "group created");
    make_consumer(&state, &group).await;
    Ok(to_message(&group, Position::default()))
}

fn new_group(wish: &Wish, password_hash: String, now: DateTime<Utc>) -> Group {
    Group {
        id: GroupId::random(),
        task_id: wish.task_id.clone(),
        name: wish.name.clone(),
        account: wish.account.clone(),
        password_hash,
        created_at: now,
        deleted_at: None,
        mode: wish.mode,
        partitions: wish.partitions,
        derived: wish.derived.clone(),
        max_deliver: wish.max_deliver,
        on_exhausted: wish.on_exhausted,
        deliver_token: match wish.delivery {
            GroupDelivery::Pull => None,
            GroupDelivery::Push => Some(format!("{:032x}", rand::random::<u128>())),
        },
    }
}

async fn insert(state: &State, wish: &Wish, group: &Group) -> Result<Outcome, sqlx::Error> {
    let mut transaction = state.pool.begin().await?;
    store::lock_task(&mut transaction, wish.task_id.as_str()).await?;
    let request_key = wish.request_key.as_deref();
    if let Some(key) = request_key
        && let Some(before) =
            store::group::by_request_key(&mut *transaction, &wish.task_id, key).await?
    {
        return Ok(Outcome::Before(Box::new(before)));
    }
    if store::released::is(&mut *transaction, &wish.task_id).await? {
        return Ok(Outcome::Released);
    }
    let count = store::group::count(&mut transaction, &wish.task_id).await?;
    if count >= i64::from(state.groups_per_task) {
        return Ok(Outcome::TooMany);
    }
    if !store::group::insert(&mut transaction, group, request_key).await? {
        return Ok(Outcome::NameTaken);
    }
    let event = GroupCreated {
        meta: Some(event_meta()),
        group: Some(to_message(group, Position::default())),
    };
    outbox::append(&mut transaction, &event).await?;
    transaction.commit().await?;
    Ok(Outcome::Created)
}

/// Answers a request that came before with the group it made, if it asks for the same.
async fn repeat(state: &State, wish: &Wish, group: Group) -> Result<message::Group, RpcError> {
    let turn = state.hasher.turn().await.map_err(hashing)?;
    let (password, stored) = (wish.password.clone(), Some(group.password_hash.clone()));
    let same_password = state
        .hasher
        .verify(turn, password, stored)
        .await
        .map_err(hashing)?;
    let same = group.name == wish.name
        && group.account == wish.account
        && group.mode == wish.mode
        && group.partitions == wish.partitions
        && told(group.derived.as_ref()) == told(wish.derived.as_ref())
        && group.max_deliver == wish.max_deliver
        && group.on_exhausted == wish.on_exhausted
        && group.delivery() == wish.delivery
        && same_password;
    if !same || group.deleted_at.is_some() {
        return Err(refuse::conflict(
            "request_key_used",
            "this request key made another group, or one that is deleted",
        )
        .field("request_key")
        .repair("use a new request key for each group"));
    }
    super::shown(state, &group).await
}

/// How a group is told changes in its own way, however often that was changed.
fn told(derived: Option<&Derived>) -> Option<(Option<&EtlPolicy>, GroupFormat)> {
    derived.map(|own| (own.etl.as_ref(), own.format))
}

/// The reconciler makes the consumer where this fails.
async fn make_consumer(state: &State, group: &Group) {
    match consumer::create(&state.data, group).await {
        Ok(Created::Yes) => {}
        Ok(Created::NoStream) => {
            tracing::debug!(group = %group.id, "the consumer waits for the task's first start");
        }
        Err(error) => {
            tracing::warn!(group = %group.id, task = %group.task_id, error = %error, "consumer not made yet");
            state.changed.notify_one();
        }
    }
}

fn check(state: &State, question: &CreateGroupRequest) -> Result<Wish, RpcError> {
    let task_id = check_task_id(&question.task_id)?;
    check_name(&question.name)?;
    check_account(&question.account)?;
    check_request_key(&question.request_key)?;
    let password = checked_password(state, &question.task_id, question.password.as_ref())?;
    let mode = GroupMode::from(question.mode());
    let partitions = match mode {
        GroupMode::Keyed => check_partitions(question.partitions)?,
        GroupMode::Ordered | GroupMode::Shared => 0,
    };
    let max_deliver = check_max_deliver(question.max_deliver)?.unwrap_or(attempts::MAX_DELIVER);
    let asked = on_exhausted(question.on_exhausted)?;
    let key = &question.request_key;
    Ok(Wish {
        task_id,
        name: question.name.clone(),
        account: question.account.clone(),
        password,
        mode,
        delivery: question.delivery().into(),
        partitions,
        derived: derived::check(question)?,
        max_deliver,
        on_exhausted: check_on_exhausted(asked, OnExhausted::of(mode), mode, max_deliver)?,
        request_key: (!key.is_empty()).then(|| key.clone()),
    })
}

pub(super) fn check_name(name: &str) -> Result<(), RpcError> {
    let length = name.chars().count();
    let trimmed = name.trim() == name;
    if length == 0 || length > MAX_NAME || !trimmed || name.chars().any(char::is_control) {
        return Err(refuse::invalid(
            "name_malformed",
            format!(
                "a name has 1 to {MAX_NAME} printable characters, none of them a space at an end"
            ),
        )
        .field("name")
        .repair("choose another name"));
    }
    Ok(())
}

fn check_account(account: &str) -> Result<(), RpcError> {
    let letter_first = account.starts_with(|c: char| c.is_ascii_lowercase());
    let legal = account
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if !letter_first || !legal || account.len() > MAX_ACCOUNT {
        return Err(refuse::invalid(
            "account_malformed",
            format!("an account has 1 to {MAX_ACCOUNT} characters of [a-z0-9_], a letter first"),
        )
        .field("account")
        .repair("choose another account, as reader"));
    }
    Ok(())
}

fn check_partitions(number: u32) -> Result<u32, RpcError> {
    if (1..=MAX_PARTITIONS).contains(&number) {
        return Ok(number);
    }
    let detail = format!("a keyed group needs a task with 1 to {MAX_PARTITIONS} partitions");
    Err(refuse::invalid("partitions_malformed", detail)
        .field("partitions")
        .repair("give the number of partitions that the task has"))
}

fn check_request_key(key: &str) -> Result<(), RpcError> {
    // PostgreSQL's text cannot hold a zero byte.
    if key.len() > MAX_REQUEST_KEY || key.contains('\0') {
        return Err(refuse::invalid(
            "request_key_malformed",
            format!("a request key has at most {MAX_REQUEST_KEY} bytes, none of them zero"),
        )
        .field("request_key")
        .repair("give a key of your own, as a UUID, and the same one when you ask again"));
    }
    Ok(())
}

/// The password that was given, opened and strong enough.
pub(super) fn checked_password(
    state: &State,
    task_id: &str,
    sealed: Option<&SealedSecret>,
) -> Result<Secret, RpcError> {
    let password = open_password(state, task_id, sealed)?;
    password::check(&password).map_err(|weakness| {
        refuse::invalid("password_weak", weakness.to_string())
            .field("password")
            .repair("choose 8 to 32 printable characters of two kinds or more")
    })?;
    Ok(password)
}

fn open_password(
    state: &State,
    task_id: &str,
    sealed: Option<&SealedSecret>,
) -> Result<Secret, RpcError> {
    let sealed = sealed.ok_or_else(|| {
        refuse::invalid("password_missing", "the group needs a password")
            .field("password")
            .repair("choose 8 to 32 printable characters of two kinds or more")
    })?;
    let sealed = Sealed {
        key_id: sealed.key_id.clone(),
        nonce: sealed.nonce.to_vec(),
        ciphertext: sealed.ciphertext.to_vec(),
    };
    state
        .keyring
        .open(&sealed, &keyring::group_password(task_id))
        .map_err(|error| {
            tracing::error!(error = %error, "sealed password not opened");
            refuse::internal("password_sealed", "the sealed password cannot be opened")
                .field("password")
                .repair("give all services the same secret key")
        })
}

pub(super) fn name_taken(name: &str) -> RpcError {
    refuse::conflict(
        "group_name_taken",
        format!("the task has a group {name:?} already"),
    )
    .field("name")
    .repair("choose another name, or delete the other group first")
}

fn too_many(state: &State) -> RpcError {
    refuse::conflict(
        "too_many_groups",
        format!("a task has at most {} groups", state.groups_per_task),
    )
    .repair("delete a group that is not needed, or raise ROWCAST_GROUPS_PER_TASK")
}

fn released(task: &TaskId) -> RpcError {
    refuse::conflict(
        "task_released",
        format!("the task {task} is released, and its groups are deleted with it"),
    )
    .field("task_id")
    .repair("create the group of a task that is not released")
}

/// Logged here, because the asker is told no internals.
#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
pub(super) fn hashing(error: HashError) -> RpcError {
    tracing::error!(error = %error, "password not hashed");
    refuse::internal("password_hash", "the password cannot be hashed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_short_lower_case_and_begins_with_a_letter() {
        for account in ["a", "reader", "reader_1", "abcdefghijklmnop"] {
            assert!(check_account(account).is_ok(), "{account:?}");
        }
        for account in [
            "",
            "1a",
            "_a",
            "Reader",
            "a-b",
            "a.b",
            "a>",
            "abcdefghijklmnopq",
        ] {
            let error = check_account(account).unwrap_err();
            assert_eq!(error.field, "account", "{account:?}");
        }
    }

    #[test]
    fn a_name_has_up_to_64_visible_characters() {
        let longest = "\u{e9}".repeat(64);
        for name in ["a", "Order readers", longest.as_str()] {
            assert!(check_name(name).is_ok(), "{name:?}");
        }
        let too_long = "a".repeat(65);
        for name in ["", " ", "a ", "a\nb", "a\0", too_long.as_str()] {
            assert_eq!(check_name(name).unwrap_err().field, "name", "{name:?}");
        }
    }
}
