"""Prints each change that a push group is sent, with nothing but nats-py (pip install nats-py).

    python3 subscribe.py connection.json password.txt [1/2]

`1/2` is the first of two processes that share a keyed group.
"""

import asyncio
import json
import pathlib
import sys

import nats


async def main(connection, password, share="1/1"):
    group = json.loads(pathlib.Path(connection).read_text())
    # A keyed group is sent to a subject for each partition, any other one to its own.
    subjects = [partition["deliver_subject"] for partition in group.get("consumers", [group])]
    first, of = map(int, share.split("/"))
    if not 1 <= first <= (most := min(of, len(subjects))):
        sys.exit(f"the share {share} has nothing to read: its first number is one of 1 to {most}")
    client = await nats.connect(
        servers=group["urls"],
        user=group["login"],
        password=pathlib.Path(password).read_text().rstrip(),
        # However long the broker is away, and where the login is refused meanwhile: what checks it may be away too.
        max_reconnect_attempts=-1,
    )

    async def read(subject):
        changes = await client.subscribe(subject, queue=group.get("deliver_group", ""))
        async for message in changes.messages:
            print(message.data.decode(), flush=True)
            await message.ack()

    await asyncio.gather(*map(read, subjects[first - 1 :: of]))
    sys.exit("the subscription has ended")


asyncio.run(main(*sys.argv[1:]))
