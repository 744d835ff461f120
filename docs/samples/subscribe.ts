// Prints each change that a push group is sent, with nothing but the NATS client (npm package nats).
//
//     npm ci && npx tsx subscribe.ts connection.json password.txt

import { readFileSync } from "node:fs";
import { connect } from "nats";
import type { Connection } from "./change.ts";

const [connectionFile, passwordFile] = process.argv.slice(2);
const group: Connection = JSON.parse(readFileSync(connectionFile, "utf8"));
if (!group.deliver_subject) throw new Error("clients of this group pull");
const client = await connect({
  servers: group.urls,
  user: group.login,
  pass: readFileSync(passwordFile, "utf8").trimEnd(),
  // However long the broker is away.
  maxReconnectAttempts: -1,
});
const changes = client.subscribe(group.deliver_subject, { queue: group.deliver_group });
for await (const message of changes) {
  console.log(message.string());
  message.respond("+ACK");
}
console.error("the subscription has ended");
process.exit(1);
