//! Writes each change of a consumer group into a journal, with async-nats alone and nothing of this crate.
//!
//! ```sh
//! cargo run -p rowcast-client --example consume -- connection.json password.txt journal 1/2
//! ```
//!
//! The first file is what `rowcast group connection TASK GROUP -o json` prints. The journal is a folder of files, one
//! for each consumer of the group. `1/2` is the first of two processes that share a keyed group; without it there is one.
//!
//! A line of the journal is a change and, by its id, a position: both are stored by one write, and acknowledged after
//! it. So a change of an ordered or a keyed group is in the journal once, whatever was killed when. In a shared group it
//! may be there twice.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::{self, Message};
use async_nats::{ConnectOptions, Event};
use futures::future::{select_all, try_join_all};
use futures::{FutureExt as _, StreamExt as _};
use serde_json::Value;
use tokio::sync::mpsc;

const ABOUT_NO_CHANGE: [&str; 2] = ["schema", "heartbeat"];

/// Where a change stands: its id as numbers, which only rise in an ordered group and in a partition.
type Position = (u32, u32, u64);

fn position(change: &Value) -> anyhow::Result<Position> {
    let id = change["id"].as_str().context("a change without an id")?;
    let numbers = id.split_once('.').zip(id.split_once('/'));
    let ((lsn, ordinal), (high, _low)) = numbers.with_context(|| format!("the id {id:?}"))?;
    let low = lsn.rsplit('/').next().context("an LSN has two parts")?;
    let hexadecimal = |digits| u32::from_str_radix(digits, 16);
    Ok((hexadecimal(high)?, hexadecimal(low)?, ordinal.parse()?))
}

/// The last whole line of a file, empty where there is none, and where it ends.
fn last_line(file: &mut File) -> anyhow::Result<(Vec<u8>, u64)> {
    let size = file.metadata()?.len();
    let mut length = 65_536;
    loop {
        let start = size.saturating_sub(length);
        file.seek(SeekFrom::Start(start))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        let mut backwards = tail.rsplit(|&byte| byte == b'\n');
        let cut_off = backwards.next().unwrap_or_default().len();
        let last = backwards.next().unwrap_or_default();
        if start == 0 || backwards.next().is_some() {
            return Ok((last.to_vec(), size - u64::try_from(cut_off)?));
        }
        length *= 2;
    }
}

struct Journal {
    file: File,
    in_order: bool,
    last: Option<Position>,
}

impl Journal {
    fn open(path: &Path, in_order: bool) -> anyhow::Result<Self> {
        let mut options = File::options();
        let mut file = options.create(true).append(true).read(true).open(path)?;
        let (line, end) = last_line(&mut file)?;
        let is_there = !line.is_empty();
        let last = is_there.then(|| position(&serde_json::from_slice(&line)?));
        // A crash has cut a write off: what it was to store comes again.
        file.set_len(end)?;
        Ok(Self {
            file,
            in_order,
            last: last.transpose()?,
        })
    }

    fn add(&mut self, changes: Vec<Value>) -> anyhow::Result<()> {
        let mut lines = Vec::new();
        for change in changes {
            if ABOUT_NO_CHANGE.iter().any(|op| change["op"] == *op) {
                continue;
            }
            let position = Some(position(&change)?);
            if self.in_order && position <= self.last {
                // It was stored, and not acknowledged.
                continue;
            }
            self.last = position;
            serde_json::to_writer(&mut lines, &change)?;
            lines.push(b'\n');
        }
        self.file.write_all(&lines)?;
        Ok(self.file.sync_data()?)
    }
}

/// A message, and what it says.
struct InHand {
    message: Message,
    change: Value,
}

impl InHand {
    fn new(message: Message) -> anyhow::Result<Self> {
        let change = serde_json::from_slice(&message.payload)?;
        Ok(Self { message, change })
    }
}

/// A piece of a change that is larger than a message: its bytes, where they begin, and how many the whole has.
fn piece(change: &Value) -> anyhow::Result<Option<(Vec<u8>, u64, u64)>> {
    let Some(part) = change.get("part") else {
        return Ok(None);
    };
    let data = part["data"].as_str().context("a piece without data")?;
    let data = data_encoding::BASE64.decode(data.as_bytes())?;
    let offset = part["offset"].as_u64().context("a piece without offset")?;
    let bytes = part["bytes"].as_u64().context("a piece without bytes")?;
    Ok(Some((data, offset, bytes)))
}

/// Whether this is a whole change, or the last piece of one: then its message acknowledges all pieces.
fn ends(change: &Value) -> anyhow::Result<bool> {
    Ok(match piece(change)? {
        Some((data, offset, bytes)) => offset + u64::try_from(data.len())? == bytes,
        None => true,
    })
}

/// These changes, with their pieces joined and their packs undone.
fn joined<'a>(changes: impl Iterator<Item = &'a Value>) -> anyhow::Result<Vec<Value>> {
    let (mut whole, mut joined) = (Vec::new(), Vec::new());
    for change in changes {
        let mut change = change.clone();
        if let Some((data, offset, bytes)) = piece(&change)? {
            if offset == 0 {
                whole.clear();
            }
            if offset == u64::try_from(whole.len())? {
                whole.extend(data);
            }
            if u64::try_from(whole.len())? < bytes {
                continue;
            }
            let hash = ring::digest::digest(&ring::digest::SHA256, &whole);
            let hash = data_encoding::HEXLOWER.encode(hash.as_ref());
            let id = &change["id"];
            ensure!(
                change["part"]["sha256"] == hash,
                "the pieces of {id} are not those of one change"
            );
            change = serde_json::from_slice(&whole)?;
        }
        let fields = change.as_object_mut();
        match fields.and_then(|fields| fields.remove("pack")) {
            Some(Value::Array(pack)) => joined.extend(pack),
            Some(_) | None => joined.push(change),
        }
    }
    Ok(joined)
}

/// What is there, at most 200; waits for 5 seconds where nothing is.
async fn next_messages(consumer: &PullConsumer) -> anyhow::Result<Vec<InHand>> {
    let first = consumer
        .batch()
        .max_messages(1)
        .expires(Duration::from_secs(5));
    let mut messages: Vec<_> = first.messages().await?.collect().await;
    if !messages.is_empty() {
        let more = consumer.fetch().max_messages(199).messages().await?;
        messages.extend(more.collect::<Vec<_>>().await);
    }
    let messages = messages.into_iter();
    let in_hand = messages.map(|message| InHand::new(message.map_err(|error| anyhow!(error))?));
    in_hand.collect()
}

async fn read_in_order(mut consumer: PullConsumer, mut journal: Journal) -> anyhow::Result<()> {
    let mut in_hand = BTreeMap::new();
    loop {
        for one in next_messages(&consumer).await? {
            let info = one.message.info().map_err(|error| anyhow!(error))?;
            in_hand.insert(info.stream_sequence, one);
        }
        // An acknowledgement covers everything before it, also what was sent to a process that was killed. That
        // comes again, after newer changes: so nothing is dealt with before all that was sent is here.
        let seen = consumer.info().await?;
        in_hand = in_hand.split_off(&(seen.ack_floor.stream_sequence + 1));
        let mut last = None;
        for (sequence, one) in &in_hand {
            if ends(&one.change)? {
                last = Some(*sequence);
            }
        }
        if let Some(last) = last
            && in_hand.len() >= seen.num_ack_pending
        {
            let changes = in_hand.range(..=last).map(|(_sequence, one)| &one.change);
            journal.add(joined(changes)?)?;
            let acked = in_hand[&last].message.double_ack().await;
            acked.map_err(|error| anyhow!(error))?;
        }
    }
}

async fn read_as_it_comes(consumer: PullConsumer, mut journal: Journal) -> anyhow::Result<()> {
    loop {
        for InHand { message, change } in next_messages(&consumer).await? {
            if !change["part"].is_null() {
                // Pieces go to several members of a shared group: none of them can join this change.
                writeln!(
                    std::io::stderr(),
                    "{} is larger than a message",
                    change["id"]
                )?;
                continue;
            }
            journal.add(joined(std::iter::once(&change))?)?;
            message.double_ack().await.map_err(|error| anyhow!(error))?;
        }
    }
}

/// What the two files and the command line say.
struct Group {
    connection: Value,
    password: String,
    folder: PathBuf,
    /// The first and the number of the processes that share the consumers.
    share: (usize, usize),
}

impl Group {
    fn text(&self, name: &str) -> anyhow::Result<String> {
        let text = self.connection[name].as_str();
        Ok(text
            .with_context(|| format!("the connection has no {name}"))?
            .to_owned())
    }

    /// The consumers that this process reads.
    fn consumers(&self) -> anyhow::Result<Vec<String>> {
        let consumers: Vec<String> = match self.connection["consumers"].as_array() {
            Some(partitions) => partitions
                .iter()
                .filter_map(|partition| Some(partition["consumer"].as_str()?.to_owned()))
                .collect(),
            None => vec![self.text("consumer")?],
        };
        let (first, of) = self.share;
        let most = of.min(consumers.len());
        ensure!(
            (1..=most).contains(&first),
            "the share {first}/{of} has nothing to read: its first number is one of 1 to {most}"
        );
        let own = consumers.into_iter().skip(first - 1).step_by(of);
        Ok(own.collect())
    }

    /// Reads from these consumers until the connection is lost.
    async fn session(&self, consumers: &[String]) -> anyhow::Result<()> {
        let (lost, mut is_lost) = mpsc::channel(1);
        let urls = self.connection["urls"].as_array().context("no urls")?;
        let urls: Vec<&str> = urls.iter().filter_map(Value::as_str).collect();
        let client =
            ConnectOptions::with_user_and_password(self.text("login")?, self.password.clone())
                .custom_inbox_prefix(self.text("inbox_prefix")?)
                .event_callback(move |event| {
                    let lost = lost.clone();
                    async move {
                        if event == Event::Disconnected {
                            // Full where it is known already.
                            lost.try_send(()).unwrap_or_default();
                        }
                    }
                })
                .connect(urls)
                .await?;
        let in_order = self.connection["mode"] != "shared";
        let stream = self.text("stream")?;
        let jetstream = jetstream::new(client);
        let reads = consumers.iter().map(|name| {
            let (jetstream, stream) = (jetstream.clone(), stream.clone());
            async move {
                let consumer = jetstream.get_consumer_from_stream(name, &stream).await?;
                let journal = Journal::open(&self.folder.join(format!("{name}.jsonl")), in_order)?;
                if in_order {
                    read_in_order(consumer, journal).await
                } else {
                    read_as_it_comes(consumer, journal).await
                }
            }
        });
        let reads = try_join_all(reads).map(|ended| ended.map(|_all| ()));
        // What is in hand is forgotten with the connection.
        let is_lost = async {
            is_lost.recv().await;
            bail!("the connection is lost")
        };
        let (ended, _index, _rest) = select_all([reads.boxed(), is_lost.boxed()]).await;
        ended
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let connection = arguments.next().context("first the connection's file")?;
    let password = arguments.next().context("then the password's file")?;
    let folder = PathBuf::from(arguments.next().context("then the journal's folder")?);
    let share = arguments.next().unwrap_or_else(|| "1/1".to_owned());
    let (first, of) = share.split_once('/').context("a share is as 1/2")?;
    let group = Group {
        connection: serde_json::from_slice(&std::fs::read(connection)?)?,
        password: std::fs::read_to_string(password)?.trim_end().to_owned(),
        share: (first.parse()?, of.parse()?),
        folder,
    };
    let consumers = group.consumers()?;
    std::fs::create_dir_all(&group.folder)?;
    loop {
        if let Err(error) = group.session(&consumers).await {
            writeln!(std::io::stderr(), "begins anew: {error:#}")?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
