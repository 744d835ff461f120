// What a client of a group is told, as types: its connection document, and the messages of its changes in JSON.

// What `rowcast group connection TASK GROUP -o json` prints.
export interface Connection {
  urls: string[];
  login: string;
  inbox_prefix: string;
  stream: string;
  // Empty in a keyed group, which has `consumers`.
  consumer: string;
  // Absent in an ordered group.
  mode?: "keyed" | "shared";
  consumers?: { partition: string; consumer: string; deliver_subject?: string }[];
  // Absent where clients pull.
  delivery?: "push";
  deliver_subject?: string;
  deliver_group?: string;
  // Absent where it is the task's: json, or protobuf.
  format?: "json" | "debezium" | "cloudevents" | "protobuf" | "avro";
  // There from the group's first redrive on.
  redrive_stream?: string;
  redrive_consumer?: string;
  group_id: string;
  task_id: string;
}

// What a message says. A later version may send an `op` that is not here: skip it.
export type Sent = Change | Pack | Part;

// What happened.
export type Change = Insert | Update | Delete | Truncate | Schema | Begin | Commit | Heartbeat | Ddl | Message | Gap;

// Column name to value, which is null for SQL's NULL. What JSON cannot hold exactly is a string.
export type Row = Record<string, Value>;
export type Value = null | boolean | number | string | Value[] | { [name: string]: Value };

interface Told {
  // Where it stands: ids only rise, in an ordered group and in a partition of a keyed one.
  id: string;
  database: string;
  // Of the transaction's commit.
  lsn: string;
  // Its number in the transaction.
  ordinal: number;
  // As 2026-11-23T05:33:10.123456Z.
  committed_at: string;
  // The transaction; absent where there is none.
  xid?: number;
}

interface OfTable extends Told {
  xid: number;
  schema: string;
  table: string;
  // Names the table's shape, which a change with `op` "schema" has told.
  schema_id: string;
}

interface OfRow extends OfTable {
  // Absent where the table has no key.
  key?: Row;
  // Columns with a JSON document that is not simply the value: it is the document null, or its text.
  documents?: Partial<Record<"key" | "before" | "after", Record<string, "null" | "text">>>;
}

export interface Insert extends OfRow {
  op: "insert";
  after: Row;
}

export interface Update extends OfRow {
  op: "update";
  // All of the old row, its key, or nothing: `before_image` tells which.
  before?: Row;
  before_image: "full" | "key" | "none";
  after: Row;
  // Columns that are not in `after`, because PostgreSQL did not send a long value that stayed the same.
  unchanged?: string[];
}

export interface Delete extends OfRow {
  op: "delete";
  before?: Row;
  before_image: "full" | "key" | "none";
}

export interface Truncate extends OfTable {
  op: "truncate";
  cascade: boolean;
  restart_identity: boolean;
}

// From here on a table has these columns.
export interface Schema extends OfTable {
  op: "schema";
  definition: {
    id: string;
    schema: string;
    table: string;
    replica_identity: string;
    columns: { name: string; type_oid: number; type: string; modifier: number; key: boolean }[];
  };
}

export interface Begin extends Told {
  op: "begin";
}

export interface Commit extends Told {
  op: "commit";
  // How many changes the transaction had.
  changes: number;
}

// Nothing happened up to here.
export interface Heartbeat extends Told {
  op: "heartbeat";
}

// A command changed the schema.
export interface Ddl extends Told {
  op: "ddl";
  schema?: string;
  table?: string;
  ddl: {
    command: string;
    object_type: string;
    object: string;
    text: string;
    user: string;
    dropped?: boolean;
    rewritten?: boolean;
  };
}

// An application called pg_logical_emit_message.
export interface Message extends Told {
  op: "message";
  // `base64` in the place of `text` where it is no UTF-8.
  message: { prefix: string; transactional: boolean; text?: string; base64?: string };
}

// Changes are missing here, and a user has accepted it.
export interface Gap extends Told {
  op: "gap";
  schema?: string;
  table?: string;
  gap: { code: string; cause: string; from: string; to: string };
}

// Rows of one transaction, in their order.
export interface Pack extends Told {
  op: "pack";
  pack: (Insert | Update | Delete)[];
}

// A piece of what is larger than a message: joined, `data` of all is the JSON of a change or a pack.
export interface Part extends Told {
  op: "part";
  schema?: string;
  table?: string;
  part: { op: string; offset: number; bytes: number; sha256: string; data: string };
}
