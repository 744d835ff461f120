"""Prints each change that a push group is sent, with nothing but nats-py (pip install nats-py).

    python3 subscribe.py connection.json password.txt
"""

import asyncio
import json
import pathlib
import sys

import nats


async def main(connection, password):
    group = json.loads(pathlib.Path(connection).read_text())
    client = await nats.connect(
        servers=group["urls"],
        user=group["login"],
        password=pathlib.Path(password).read_text().rstrip(),
        # However long the broker is away.
        max_reconnect_attempts=-1,
    )
    changes = await client.subscribe(group["deliver_subject"], queue=group.get("deliver_group", ""))
    async for message in changes.messages:
        print(message.data.decode(), flush=True)
        await message.ack()
    sys.exit("the subscription has ended")


asyncio.run(main(*sys.argv[1:]))
