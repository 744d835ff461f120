// Prints each change that a push group is sent, with nothing but the NATS client (npm package nats).
//
//     npm ci && npx tsx subscribe.ts connection.json password.txt [1/2]
//
// `1/2` is the first of two processes that share a keyed group.

import { readFileSync } from "node:fs";
import { connect } from "nats";
import type { Connection } from "./change.ts";

async function read(subject: string | undefined): Promise<void> {
  if (!subject) throw new Error("clients of this group pull");
  for await (const message of client.subscribe(subject, { queue: group.deliver_group })) {
    console.log(message.string());
    message.respond("+ACK");
  }
}

const [connectionFile, passwordFile, share = "1/1"] = process.argv.slice(2);
const group: Connection = JSON.parse(readFileSync(connectionFile, "utf8"));
// A keyed group is sent to a subject for each partition, any other one to its own.
const [first, of] = share.split("/").map(Number);
const all = group.consumers ?? [group];
const own = all.filter((_partition, index) => index % of === first - 1);
if (!(first <= of && own.length > 0)) {
  console.error(`the share ${share} has nothing to read: its first number is one of 1 to ${Math.min(of, all.length)}`);
  process.exit(1);
}
const client = await connect({
  servers: group.urls,
  user: group.login,
  pass: readFileSync(passwordFile, "utf8").trimEnd(),
  // However long the broker is away, and where the login is refused meanwhile: what checks it may be away too.
  maxReconnectAttempts: -1,
  ignoreAuthErrorAbort: true,
});
await Promise.all(own.map(({ deliver_subject }) => read(deliver_subject)));
console.error("the subscription has ended");
process.exit(1);
