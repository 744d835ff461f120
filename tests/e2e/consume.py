"""Prints changes of a consumer group, one JSON document a line, with nothing but nats-py.

usage: consume.py <urls> <login> <password> <stream> <consumer> <inbox prefix> <count>
"""

import asyncio
import base64
import hashlib
import json
import sys

import nats
from nats.errors import TimeoutError

ABOUT_TABLES_OR_NOTHING = ("schema", "heartbeat")


async def main(urls, login, password, stream, consumer, inbox_prefix, count):
    client = await nats.connect(
        servers=urls.split(","),
        user=login,
        password=password,
        inbox_prefix=inbox_prefix.encode(),
        allow_reconnect=False,
    )
    subscription = await client.jetstream().pull_subscribe_bind(consumer, stream)
    printed = 0
    whole = bytearray()
    while printed < int(count):
        try:
            messages = await subscription.fetch(10, timeout=2)
        except TimeoutError:
            continue
        for message in messages:
            change = json.loads(message.data)
            if part := change.get("part"):
                # As in README.md, "Rows larger than a message".
                if part["offset"] == 0:
                    whole.clear()
                if part["offset"] == len(whole):
                    whole += base64.b64decode(part["data"])
                if len(whole) < part["bytes"] or hashlib.sha256(whole).hexdigest() != part["sha256"]:
                    continue
                change = json.loads(whole)
            if change["op"] not in ABOUT_TABLES_OR_NOTHING:
                print(json.dumps(change), flush=True)
                printed += 1
            await message.ack_sync()
    await client.close()


asyncio.run(main(*sys.argv[1:]))
