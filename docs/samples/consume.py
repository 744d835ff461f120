"""Writes each change of a consumer group into a journal, with nothing but nats-py (pip install nats-py).

    python3 consume.py connection.json password.txt journal [1/2]

The first file is what `rowcast group connection TASK GROUP -o json` prints. The journal is a folder of files, one
for each consumer of the group. `1/2` is the first of two processes that share a keyed group.

A line of the journal is a change and, by its id, a position: both are stored by one write, and acknowledged after
it. So a change of an ordered or a keyed group is in the journal once, whatever was killed when. In a shared group it
may be there twice.
"""

import asyncio
import base64
import hashlib
import json
import os
import pathlib
import sys

import nats
from nats.errors import Error

ABOUT_NO_CHANGE = ("schema", "heartbeat")


def position(change):
    """Where a change stands: its id as numbers, which only rise in an ordered group and in a partition."""
    lsn, ordinal = change["id"].split(".")
    high, low = lsn.split("/")
    return int(high, 16), int(low, 16), int(ordinal)


def last_line(file):
    """The last whole line of a file, and where it ends."""
    size = file.seek(0, os.SEEK_END)
    length = 65536
    while True:
        start = max(size - length, 0)
        file.seek(start)
        *lines, cut_off = file.read().split(b"\n")
        if start == 0 or len(lines) > 1:
            return lines[-1] if lines else None, size - len(cut_off)
        length *= 2


class Journal:
    def __init__(self, path, ordered):
        self.file = open(path, "a+b")
        self.ordered = ordered
        line, end = last_line(self.file)
        self.last = position(json.loads(line)) if line else None
        # A crash has cut a write off: what it was to store comes again.
        self.file.truncate(end)

    def add(self, changes):
        for change in changes:
            if change["op"] in ABOUT_NO_CHANGE:
                continue
            if self.ordered and self.last and position(change) <= self.last:
                continue  # It was stored, and not acknowledged.
            self.last = position(change)
            self.file.write(json.dumps(change).encode() + b"\n")
        self.file.flush()
        os.fsync(self.file.fileno())


def ends(change):
    """Whether this is a whole change, or the last piece of one: then its message acknowledges all pieces."""
    part = change.get("part")
    return not part or part["offset"] + len(part["data"]) * 3 // 4 - part["data"].count("=") == part["bytes"]


def joined(changes):
    """These changes, with their pieces joined and their packs undone."""
    whole = bytearray()
    for change in changes:
        if part := change.get("part"):
            if part["offset"] == 0:
                whole.clear()
            if part["offset"] == len(whole):
                whole += base64.b64decode(part["data"])
            if len(whole) < part["bytes"]:
                continue
            if hashlib.sha256(whole).hexdigest() != part["sha256"]:
                raise ValueError(f"the pieces of {change['id']} are not those of one change")
            change = json.loads(whole)
        yield from change.get("pack", [change])


async def next_messages(pulls):
    try:
        return await pulls.fetch(200, timeout=5)
    except asyncio.TimeoutError:
        return []


async def read_in_order(pulls, journal):
    in_hand = {}
    while True:
        for message in await next_messages(pulls):
            in_hand[message.metadata.sequence.stream] = message, json.loads(message.data)
        # An acknowledgement covers everything before it, also what was sent to a process that was killed. That
        # comes again, after newer changes: so nothing is dealt with before all that was sent is here.
        consumer = await pulls.consumer_info()
        done = consumer.ack_floor.stream_seq
        in_hand = {sequence: here for sequence, here in sorted(in_hand.items()) if sequence > done}
        last = max((sequence for sequence, (_, change) in in_hand.items() if ends(change)), default=None)
        if last is None or len(in_hand) < consumer.num_ack_pending:
            continue
        journal.add(joined(change for sequence, (_, change) in in_hand.items() if sequence <= last))
        await in_hand[last][0].ack_sync(timeout=30)


async def read_as_it_comes(pulls, journal):
    while True:
        for message in await next_messages(pulls):
            change = json.loads(message.data)
            if "part" in change:
                # Pieces go to several members of a shared group: none of them can join this change.
                print(f"{change['id']} is larger than a message", file=sys.stderr)
                continue
            journal.add(joined([change]))
            await message.ack_sync(timeout=30)


async def session(connection, password, folder, share):
    ordered = connection.get("mode") != "shared"
    consumers = [part["consumer"] for part in connection.get("consumers", [])] or [connection["consumer"]]
    first, of = map(int, share.split("/"))
    most = min(of, len(consumers))
    if not 1 <= first <= most:
        sys.exit(f"the share {share} has nothing to read: its first number is one of 1 to {most}")
    # Without reconnects of the client's own: what is in hand is forgotten with the connection.
    client = await nats.connect(
        servers=connection["urls"],
        user=connection["login"],
        password=password,
        inbox_prefix=connection["inbox_prefix"].encode(),
        allow_reconnect=False,
    )
    jetstream = client.jetstream(timeout=30)

    async def read(consumer):
        pulls = await jetstream.pull_subscribe_bind(consumer, connection["stream"])
        journal = Journal(folder / f"{consumer}.jsonl", ordered)
        await (read_in_order if ordered else read_as_it_comes)(pulls, journal)

    try:
        await asyncio.gather(*map(read, consumers[first - 1 :: of]))
    finally:
        await client.close()


async def main(connection, password, folder, share="1/1"):
    connection = json.loads(pathlib.Path(connection).read_text())
    password = pathlib.Path(password).read_text().rstrip()
    folder = pathlib.Path(folder)
    folder.mkdir(exist_ok=True)
    while True:
        try:
            await session(connection, password, folder, share)
        except (Error, OSError, asyncio.TimeoutError) as error:
            print(f"begins anew: {error!r}", file=sys.stderr)
            await asyncio.sleep(1)


asyncio.run(main(*sys.argv[1:]))
