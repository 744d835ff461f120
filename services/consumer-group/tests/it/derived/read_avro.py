"""Prints what fastavro reads in container files of Avro: their base64 comes in, a line each; a line of JSON for each goes out."""

import base64
import datetime
import io
import json
import sys

import fastavro


def plain(value):
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    raise TypeError(type(value))


for line in sys.stdin.read().split():
    records = list(fastavro.reader(io.BytesIO(base64.b64decode(line))))
    print(json.dumps(records, default=plain))
