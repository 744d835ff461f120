// Prints each change that a push group is sent, with nothing but the NATS client (npm install nats).
//
//     node subscribe.mjs connection.json password.txt

import { readFileSync } from "node:fs";
import { connect } from "nats";

const [connection, password] = process.argv.slice(2).map((file) => readFileSync(file, "utf8"));
const group = JSON.parse(connection);
const client = await connect({
  servers: group.urls,
  user: group.login,
  pass: password.trimEnd(),
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
