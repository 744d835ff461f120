//! Every subject, and the escape that makes an identifier a subject token.

use std::fmt::Write as _;

use rowcast_domain::{GroupId, TaskId};

/// The token that stands where a subject has a schema or table token but the event belongs to none.
///
/// [`escape`] never gives it: an `=` it writes is followed by two hexadecimal digits.
pub const NO_OBJECT: &str = "=";

/// The partition token of events that belong to no row.
pub const TRANSACTION_PARTITION: &str = "tx";

/// What a message of a task's stream says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// A row was inserted.
    Insert,
    /// A row was updated.
    Update,
    /// A row was deleted.
    Delete,
    /// A table was emptied.
    Truncate,
    /// A table has this shape from here on.
    Schema,
    /// A transaction begins.
    Begin,
    /// A transaction ends.
    Commit,
    /// Nothing happened up to this LSN.
    Heartbeat,
    /// A command changed the schema.
    Ddl,
    /// An application wrote a message into the WAL.
    Message,
    /// Changes are missing before this LSN, and the user has accepted it.
    Gap,
    /// Several rows of one transaction.
    Pack,
}

impl Op {
    /// Every operation.
    pub const ALL: [Self; 12] = [
        Self::Insert,
        Self::Update,
        Self::Delete,
        Self::Truncate,
        Self::Schema,
        Self::Begin,
        Self::Commit,
        Self::Heartbeat,
        Self::Ddl,
        Self::Message,
        Self::Gap,
        Self::Pack,
    ];

    /// The last token of the subject, and `op` in the body.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Truncate => "truncate",
            Self::Schema => "schema",
            Self::Begin => "begin",
            Self::Commit => "commit",
            Self::Heartbeat => "heartbeat",
            Self::Ddl => "ddl",
            Self::Message => "message",
            Self::Gap => "gap",
            Self::Pack => "pack",
        }
    }

    /// The operation with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.as_str() == name)
    }
}

/// Appends `identifier` as one token: bytes outside `[A-Za-z0-9_-]` become `=XX`.
///
/// Legal in subjects and in KV keys alike (NATS ADR-6, ADR-8), and reversible.
pub fn escape_into(token: &mut String, identifier: &str) {
    for byte in identifier.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            token.push(char::from(byte));
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            token.push('=');
            token.push(char::from(HEX[usize::from(byte >> 4)]));
            token.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// `identifier` as one token. See [`escape_into`].
#[must_use]
pub fn escape(identifier: &str) -> String {
    let mut token = String::with_capacity(identifier.len());
    escape_into(&mut token, identifier);
    token
}

/// The identifier behind a token, or `None` where [`escape`] did not make it.
#[must_use]
pub fn unescape(token: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'=' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    let identifier = String::from_utf8(bytes).ok()?;
    (escape(&identifier) == token).then_some(identifier)
}

/// Lines of a service's log about a task; `*` for all services.
#[must_use]
pub fn task_log(task: &TaskId, service: &str) -> String {
    format!("rowcast.log.{task}.{service}")
}

/// Everything in a task's stream.
#[must_use]
pub fn task_changes(task: &TaskId) -> String {
    format!("rowcast.change.{task}.>")
}

/// Appends the subject of a change: `rowcast.change.<task>.<partition>.<schema>.<table>.<op>`.
///
/// `partition` is `None` for what belongs to no row; `object` is an already escaped
/// `<schema>.<table>` or `None`.
pub fn change_into(
    subject: &mut String,
    task: &TaskId,
    partition: Option<u32>,
    object: Option<&str>,
    op: Op,
) {
    subject.push_str("rowcast.change.");
    subject.push_str(task.as_str());
    subject.push('.');
    partition_into(subject, partition);
    subject.push('.');
    match object {
        Some(object) => subject.push_str(object),
        None => {
            subject.push_str(NO_OBJECT);
            subject.push('.');
            subject.push_str(NO_OBJECT);
        }
    }
    subject.push('.');
    subject.push_str(op.as_str());
}

fn partition_into(subject: &mut String, partition: Option<u32>) {
    match partition {
        // Padded so that the tokens sort; three digits hold the most partitions a task may have.
        Some(number) => {
            // Writing to a String cannot fail.
            write!(subject, "{number:03}").unwrap_or_default();
        }
        None => subject.push_str(TRANSACTION_PARTITION),
    }
}

/// The tokens of a task's partitions: the numbered ones, then that of what belongs to no row.
pub fn partitions(count: u32) -> impl Iterator<Item = String> {
    let numbers = (0..count).map(Some);
    numbers.chain(std::iter::once(None)).map(|partition| {
        let mut token = String::new();
        partition_into(&mut token, partition);
        token
    })
}

/// Everything in the own stream of a group.
#[must_use]
pub fn group_changes(group: &GroupId) -> String {
    format!("rowcast.derived.{group}.>")
}

/// Everything of one partition of a group's own stream.
#[must_use]
pub fn group_partition_changes(group: &GroupId, partition: &str) -> String {
    format!("rowcast.derived.{group}.{partition}.>")
}

/// The subject in a group's own stream of what has this subject in its task's stream: the same partition, schema,
/// table and operation. `None` for what is no subject of a task's stream.
#[must_use]
pub fn derived(group: &GroupId, of_task: &str) -> Option<String> {
    let (_task, rest) = of_task.strip_prefix("rowcast.change.")?.split_once('.')?;
    Some(format!("rowcast.derived.{group}.{rest}"))
}

/// The subject in a group's own stream of a row that stood in a pack with this subject in its task's stream. `object` is an
/// already escaped `<schema>.<table>`.
#[must_use]
pub fn derived_row(group: &GroupId, of_pack: &str, object: &str, op: Op) -> Option<String> {
    let (_task, rest) = of_pack.strip_prefix("rowcast.change.")?.split_once('.')?;
    let (partition, _object) = rest.split_once('.')?;
    let op = op.as_str();
    Some(format!("rowcast.derived.{group}.{partition}.{object}.{op}"))
}

/// The subject in a group's own stream of what tells that changes are missing; `object` as above, where they are of one
/// table.
#[must_use]
pub fn derived_gap(group: &GroupId, object: Option<&str>) -> String {
    let none = format!("{NO_OBJECT}.{NO_OBJECT}");
    let object = object.unwrap_or(&none);
    let op = Op::Gap.as_str();
    format!("rowcast.derived.{group}.{TRANSACTION_PARTITION}.{object}.{op}")
}

/// The subject in a group's own stream of the shape of a table; `object` as above.
#[must_use]
pub fn derived_shape(group: &GroupId, object: &str) -> String {
    let op = Op::Schema.as_str();
    format!("rowcast.derived.{group}.{TRANSACTION_PARTITION}.{object}.{op}")
}

/// Everything of one partition of a task's stream.
#[must_use]
pub fn partition_changes(task: &TaskId, partition: &str) -> String {
    format!("rowcast.change.{task}.{partition}.>")
}

/// `<schema>.<table>`, both escaped.
#[must_use]
pub fn object(schema: &str, table: &str) -> String {
    let mut object = escape(schema);
    object.push('.');
    escape_into(&mut object, table);
    object
}

/// Where the changes of a push group are sent, those of one partition or all.
///
/// A client must subscribe to this subject itself: nats-server (2.15, `registerNotification`) takes no wildcard for
/// interest in a consumer. `token` is known to the group's clients alone, for the answer to a pull goes to whatever
/// subject the asker names, in the account of all clients: so the members of another group could send there what they
/// may read.
#[must_use]
pub fn group_delivery(group: &GroupId, token: &str, partition: Option<&str>) -> String {
    let partition = partition.unwrap_or("changes");
    format!("rowcast.deliver.{group}.{token}.{partition}")
}

/// Prefix of the inboxes of a group's clients.
#[must_use]
pub fn group_inbox(group: &GroupId) -> String {
    format!("_INBOX_{group}")
}

/// Where a group's members ask what they may read.
#[must_use]
pub fn group_member(group: &GroupId) -> String {
    format!("{MEMBER}.{group}")
}

/// Questions of the members of all groups.
pub const MEMBERS: &str = "rowcast.member.*";

/// A copy of consumer-group could not decide what a member may read. Core NATS, in account DATA. The payload is the id of the
/// group; what is no id stands for all groups.
///
/// The member goes on with what it has: no other copy may end a lease until members had the time to ask again.
pub const MEMBER_UNDECIDED: &str = "rowcast.member-undecided";

const MEMBER: &str = "rowcast.member";

/// The group whose member asks on this subject.
#[must_use]
pub fn member_group(subject: &str) -> Option<GroupId> {
    let group = subject.strip_prefix(MEMBER)?.strip_prefix('.')?;
    group.parse().ok()
}

/// What a group's clients may publish to: pulls, consumer info and acks of the group's consumer.
///
/// Acks come in two forms: `$JS.ACK.<stream>.<consumer>…` and, where the server has the second
/// form on, `$JS.ACK.<domain>.<account hash>.<stream>.<consumer>…` (NATS ADR-15). They are told apart
/// by their number of tokens, nine against eleven or more: a pattern of the second form that fits nine
/// tokens would allow acks of any other consumer.
#[must_use]
pub fn group_publish(stream: &str, consumer: &str) -> Vec<String> {
    vec![
        format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"),
        format!("$JS.API.CONSUMER.INFO.{stream}.{consumer}"),
        format!("$JS.ACK.{stream}.{consumer}.*.*.*.*.*"),
        format!("$JS.ACK.*.*.{stream}.{consumer}.*.*.*.*.>"),
    ]
}

/// nats-server tells here of a change that was sent as often as its consumer allows (NATS docs, "JetStream advisories").
pub const DELIVERIES_EXHAUSTED: &str = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>";

/// nats-server tells here of a change that a member has given up (`+TERM`).
pub const DELIVERIES_GIVEN_UP: &str = "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>";

/// Dead letters of all groups.
pub const DEAD_LETTERS: &str = "rowcast.dead.*.*";

/// Dead letters that groups get once more.
pub const REDRIVEN: &str = "rowcast.redrive.*.*";

/// A group's dead letter of the message that the task's stream had under this sequence since this time, in nanoseconds
/// of Unix: a stream that was made anew has other messages under the same sequences.
#[must_use]
pub fn dead_letter(group: &GroupId, sequence: u64, stored_at: i128) -> String {
    format!("rowcast.dead.{group}.{sequence}-{stored_at}")
}

/// All dead letters of a group.
#[must_use]
pub fn dead_letters(group: &GroupId) -> String {
    format!("rowcast.dead.{group}.*")
}

/// The group whose dead letter has this subject.
#[must_use]
pub fn group_of_letter(subject: &str) -> Option<GroupId> {
    let (group, _letter) = subject.strip_prefix("rowcast.dead.")?.split_once('.')?;
    group.parse().ok()
}

/// The dead letter with this number, on its way to its group.
#[must_use]
pub fn redriven(group: &GroupId, letter: u64) -> String {
    format!("rowcast.redrive.{group}.{letter}")
}

/// All dead letters that are on their way to a group.
#[must_use]
pub fn redriven_of(group: &GroupId) -> String {
    format!("rowcast.redrive.{group}.*")
}

/// The group to which a dead letter is redriven on this subject, and the letter's number.
#[must_use]
pub fn letter_of_redriven(subject: &str) -> Option<(GroupId, u64)> {
    let (group, letter) = subject.strip_prefix("rowcast.redrive.")?.split_once('.')?;
    Some((group.parse().ok()?, letter.parse().ok()?))
}

/// Where nats-server asks whether a login is good (NATS docs, "Auth Callout").
pub const AUTH_CALLOUT: &str = "$SYS.REQ.USER.AUTH";

/// Where every server tells its connections.
pub const PING_CONNECTIONS: &str = "$SYS.REQ.SERVER.PING.CONNZ";

/// Where every server tells how it is, and how many servers it knows.
pub const PING_STATISTICS: &str = "$SYS.REQ.SERVER.PING.STATSZ";

/// Where one server tells its connections.
#[must_use]
pub fn connections_of(server_id: &str) -> String {
    format!("$SYS.REQ.SERVER.{server_id}.CONNZ")
}

/// Closes a connection of a server.
#[must_use]
pub fn kick(server_id: &str) -> String {
    format!("$SYS.REQ.SERVER.{server_id}.KICK")
}

/// Where bad messages of the bus are parked, by the consumer that could not take them.
#[must_use]
pub fn parked(consumer: &str) -> String {
    format!("rowcast.parked.{consumer}")
}

/// What is parked of the changes of all groups.
pub const PARKED_OF_GROUPS: &str = "rowcast.group-parked.*";

/// Where changes are parked that could not be told in a group's own stream.
#[must_use]
pub fn parked_of_group(group: &GroupId) -> String {
    format!("rowcast.group-parked.{group}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn escape_gives_one_legal_token_and_is_reversible(identifier in "\\PC{1,63}") {
            let token = escape(&identifier);
            prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-=".contains(&b)));
            prop_assert_eq!(unescape(&token), Some(identifier));
        }

        #[test]
        fn unescape_never_panics(token in "\\PC*") {
            let _seen = unescape(&token);
        }
    }

    #[test]
    fn a_token_that_escape_does_not_give_is_refused() {
        for token in ["a.b", "=", "=4", "=41", "=2e", "=FF", "a b"] {
            assert_eq!(unescape(token), None, "{token:?}");
        }
    }

    #[test]
    fn a_dotted_table_stays_one_token() {
        let task: TaskId = "t000000000000".parse().unwrap();
        let mut subject = String::new();
        let object = object("public", "a.b*");
        change_into(&mut subject, &task, Some(7), Some(&object), Op::Insert);
        assert_eq!(
            subject,
            "rowcast.change.t000000000000.007.public.a=2Eb=2A.insert"
        );
    }

    #[test]
    fn what_is_derived_of_a_change_keeps_its_partition_table_and_operation() {
        let group: GroupId = "g111111111111".parse().unwrap();
        assert_eq!(
            derived(
                &group,
                "rowcast.change.t000000000000.007.public.a=2Eb.insert"
            )
            .unwrap(),
            "rowcast.derived.g111111111111.007.public.a=2Eb.insert"
        );
        assert_eq!(derived(&group, "rowcast.deliver.g1.x"), None);
    }

    #[test]
    fn an_event_without_a_row_goes_to_the_transaction_partition() {
        let task: TaskId = "t000000000000".parse().unwrap();
        let mut subject = String::new();
        change_into(&mut subject, &task, None, None, Op::Heartbeat);
        assert_eq!(subject, "rowcast.change.t000000000000.tx.=.=.heartbeat");
    }
}
