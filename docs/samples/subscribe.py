"""Prints each change that a push group is sent, with nothing but nats-py (pip install nats-py).

    python3 subscribe.py connection.json password.txt [1/2]

`1/2` is the first of two processes that share a keyed group.
"""

import asyncio
import json
import pathlib
import sys

import nats
from nats.errors import Error


async def session(group, password, subjects):
    # Without reconnects of the client's own, which closes itself for good when its login is over.
    client = await nats.connect(
        servers=group["urls"],
        user=group["login"],
        password=password,
        allow_reconnect=False,
    )

    async def read(subject):
        changes = await client.subscribe(subject, queue=group.get("deliver_group", ""))
        async for message in changes.messages:
            print(message.data.decode(), flush=True)
            await message.ack()

    try:
        await asyncio.gather(*map(read, subjects))
    finally:
        await client.close()


async def main(connection, password, share="1/1"):
    group = json.loads(pathlib.Path(connection).read_text())
    password = pathlib.Path(password).read_text().rstrip()
    # A keyed group is sent to a subject for each partition, any other one to its own.
    subjects = [partition["deliver_subject"] for partition in group.get("consumers", [group])]
    first, of = map(int, share.split("/"))
    most = min(of, len(subjects))
    if not 1 <= first <= most:
        sys.exit(f"the share {share} has nothing to read: its first number is one of 1 to {most}")
    while True:
        try:
            await session(group, password, subjects[first - 1 :: of])
        except (Error, OSError, asyncio.TimeoutError) as error:
            print(f"begins anew: {error!r}", file=sys.stderr)
        await asyncio.sleep(1)


asyncio.run(main(*sys.argv[1:]))
