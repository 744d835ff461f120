"""Prints changes of a consumer group, one JSON document a line, with nothing but nats-py.

usage: consume.py <urls> <login> <password> <stream> <consumer> <inbox prefix> <count>
"""

import asyncio
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
    while printed < int(count):
        try:
            messages = await subscription.fetch(10, timeout=2)
        except TimeoutError:
            continue
        for message in messages:
            if json.loads(message.data)["op"] not in ABOUT_TABLES_OR_NOTHING:
                print(message.data.decode(), flush=True)
                printed += 1
            await message.ack_sync()
    await client.close()


asyncio.run(main(*sys.argv[1:]))
