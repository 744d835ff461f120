// Writes each change of a consumer group into a journal, with nothing but the NATS client (npm package nats).
//
//     npm ci && npx tsx consume.ts connection.json password.txt journal [1/2]
//
// The first file is what `rowcast group connection TASK GROUP -o json` prints. The journal is a folder of files, one
// for each consumer of the group. `1/2` is the first of two processes that share a keyed group.
//
// A line of the journal is a change and, by its id, a position: both are stored by one write, and acknowledged after
// it. So a change of an ordered or a keyed group is in the journal once, whatever was killed when. In a shared group
// it may be there twice.

import { createHash } from "node:crypto";
import fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type Consumer, type JsMsg } from "nats";
import type { Change, Connection, Pack, Sent } from "./change.ts";

const ABOUT_NO_CHANGE: Change["op"][] = ["schema", "heartbeat"];

// Where a change stands: its id as one number, which only rises in an ordered group and in a partition.
function position({ id }: Change): bigint {
  const parts = /^(.+)\/(.+)\.(.+)$/.exec(id);
  if (!parts) throw new Error(`${id} is no id of a change`);
  const [, high, low, ordinal] = parts;
  return (BigInt(`0x${high}`) << 96n) | (BigInt(`0x${low}`) << 64n) | BigInt(ordinal);
}

// The last whole line of a file, and where it ends.
function lastLine(file: number): [string, number] {
  const { size } = fs.fstatSync(file);
  for (let length = 65_536; ; length *= 2) {
    const start = Math.max(size - length, 0);
    const tail = Buffer.alloc(size - start);
    for (let read = 0; read < tail.length; ) read += fs.readSync(file, tail, read, tail.length - read, start + read);
    const lines = tail.subarray(0, tail.lastIndexOf("\n") + 1);
    // The end of the line before it.
    const before = lines.subarray(0, -1).lastIndexOf("\n");
    if (start === 0 || before >= 0) return [lines.subarray(before + 1).toString(), start + lines.length];
  }
}

class Journal {
  private readonly file: number;
  private readonly ordered: boolean;
  private last = -1n;

  constructor(path: string, ordered: boolean) {
    this.ordered = ordered;
    this.file = fs.openSync(path, "a+");
    try {
      const [line, end] = lastLine(this.file);
      if (line) this.last = position(JSON.parse(line));
      // A crash has cut a write off: what it was to store comes again.
      fs.ftruncateSync(this.file, end);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  add(changes: Iterable<Change>): void {
    let lines = "";
    for (const change of changes) {
      if (ABOUT_NO_CHANGE.includes(change.op)) continue;
      // It was stored, and not acknowledged.
      if (this.ordered && position(change) <= this.last) continue;
      this.last = position(change);
      lines += `${JSON.stringify(change)}\n`;
    }
    for (let rest: Buffer = Buffer.from(lines); rest.length > 0; ) rest = rest.subarray(fs.writeSync(this.file, rest));
    fs.fsyncSync(this.file);
  }

  close(): void {
    fs.closeSync(this.file);
  }
}

// Whether this is a whole change, or the last piece of one: then its message acknowledges all pieces.
function ends(sent: Sent): boolean {
  if (sent.op !== "part") return true;
  const { offset, bytes, data } = sent.part;
  return offset + Buffer.byteLength(data, "base64") === bytes;
}

// The changes of these messages, with their pieces joined and their packs undone.
function* joined(messages: Iterable<Sent>): Generator<Change> {
  let whole: Buffer[] = [];
  let size = 0;
  for (let sent of messages) {
    if (sent.op === "part") {
      const { offset, bytes, sha256, data } = sent.part;
      if (offset === 0) [whole, size] = [[], 0];
      if (offset === size) {
        const piece = Buffer.from(data, "base64");
        whole.push(piece);
        size += piece.length;
      }
      if (size < bytes) continue;
      const json = Buffer.concat(whole);
      if (createHash("sha256").update(json).digest("hex") !== sha256) {
        throw new Error(`the pieces of ${sent.id} are not those of one change`);
      }
      sent = JSON.parse(json.toString()) as Change | Pack;
    }
    if (sent.op === "pack") yield* sent.pack;
    else yield sent;
  }
}

async function readInOrder(consumer: Consumer, journal: Journal): Promise<void> {
  const inHand = new Map<number, { message: JsMsg; sent: Sent }>();
  let arrived = () => {};
  await consumer.consume({
    max_messages: 200,
    callback: (message) => {
      inHand.set(message.seq, { message, sent: message.json<Sent>() });
      arrived();
    },
  });
  for (;;) {
    const arrival = new Promise<void>((resolve) => (arrived = resolve));
    // An acknowledgement covers everything before it, also what was sent to a process that was killed. That comes
    // again, after newer changes: so nothing is dealt with before all that was sent is here.
    const { ack_floor: done, delivered, num_ack_pending: unacknowledged } = await consumer.info();
    for (const sequence of inHand.keys()) if (sequence <= done.stream_seq) inHand.delete(sequence);
    const here = [...inHand.values()].filter(({ message }) => message.seq <= delivered.stream_seq);
    here.sort((one, other) => one.message.seq - other.message.seq);
    const last = here.findLastIndex(({ sent }) => ends(sent));
    if (last < 0 || here.length < unacknowledged) {
      await arrival;
      continue;
    }
    journal.add(joined(here.slice(0, last + 1).map(({ sent }) => sent)));
    await acknowledge(here[last].message);
  }
}

async function readAsItComes(consumer: Consumer, journal: Journal): Promise<void> {
  for await (const message of await consumer.consume({ max_messages: 200 })) {
    const sent = message.json<Sent>();
    if (sent.op === "part") {
      // Pieces go to several members of a shared group: none of them can join this change.
      console.error(`${sent.id} is larger than a message`);
      continue;
    }
    journal.add(joined([sent]));
    await acknowledge(message);
  }
}

// Waits until the server has stored it.
async function acknowledge(message: JsMsg): Promise<void> {
  if (!(await message.ackAck({ timeout: 30_000 }))) throw new Error("not acknowledged");
}

// Reads from these consumers until the connection is lost.
async function session(connection: Connection, pass: string, folder: string, own: string[]): Promise<void> {
  // Without reconnects of the client's own: what is in hand is forgotten with the connection.
  const client = await connect({
    servers: connection.urls,
    user: connection.login,
    pass,
    inboxPrefix: connection.inbox_prefix,
    reconnect: false,
  });
  const ordered = connection.mode !== "shared";
  const journals: Journal[] = [];
  const read = async (name: string) => {
    const consumer = await client.jetstream({ timeout: 30_000 }).consumers.get(connection.stream, name);
    const journal = new Journal(`${folder}/${name}.jsonl`, ordered);
    journals.push(journal);
    await (ordered ? readInOrder : readAsItComes)(consumer, journal);
  };
  try {
    const closed = client.closed().then((error) => Promise.reject(error ?? new Error("the connection is closed")));
    await Promise.race([closed, ...own.map(read)]);
  } finally {
    await client.close();
    journals.forEach((journal) => journal.close());
  }
}

const [connectionFile, passwordFile, folder, share = "1/1"] = process.argv.slice(2);
const connection: Connection = JSON.parse(fs.readFileSync(connectionFile, "utf8"));
const password = fs.readFileSync(passwordFile, "utf8").trimEnd();
const consumers = connection.consumers?.map((part) => part.consumer) ?? [connection.consumer];
const [first, of] = share.split("/").map(Number);
const own = consumers.filter((_consumer, index) => index % of === first - 1);
if (!(first <= of && own.length > 0)) {
  const most = Math.min(of, consumers.length);
  console.error(`the share ${share} has nothing to read: its first number is one of 1 to ${most}`);
  process.exit(1);
}
fs.mkdirSync(folder, { recursive: true });
for (;;) {
  await session(connection, password, folder, own).catch((error) => console.error(`begins anew: ${error}`));
  await sleep(1000);
}
