#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Another program that uses a guest's pool file, and watches over it.

pool_neighbour.py POOL SECONDS PREFIX: appends, edits and now and then truncates records of its own,
under both kinds of locks, as a careful program does. Each time it has the locks it also looks at
every record that is not of PREFIX.*: all that stood there before must stand there still, byte by
byte and in the same order, its own, those of other programs, and duplicates. What it does itself is
the only exception. Prints what it did as JSON and ends with 1 when a record was harmed.
"""
import fcntl
import json
import os
import random
import sys
import time

KEY, VALUE = 512, 2048
RECORD = KEY + VALUE
TRUNCATE_EVERY = 6.0  # seconds; so that the pool stays below what its readers take
RECORDS_MAX = 1000  # and not more than these


class Pool:
    """The file with both locks held, cut into records."""

    def __init__(self, path):
        self.file = open(path, "r+b", buffering=0)
        fcntl.flock(self.file, fcntl.LOCK_EX)
        fcntl.lockf(self.file, fcntl.LOCK_EX)

    def __enter__(self):
        data = self.file.read(os.fstat(self.file.fileno()).st_size)
        self.records = [data[i : i + RECORD] for i in range(0, len(data), RECORD)]
        return self

    def __exit__(self, *failure):
        self.file.close()  # gives up both locks

    def put(self, index, record):
        self.file.seek(index * RECORD)
        self.file.write(record)

    def truncate(self):
        self.file.truncate(0)


def key_of(record):
    return record[:KEY].split(b"\0")[0]


def record_of(key, value):
    return key.encode().ljust(KEY, b"\0") + value.encode().ljust(VALUE, b"\0")


def foreign(records, prefix):
    return [record for record in records if not key_of(record).startswith(prefix)]


def harmed(before, now):
    """The first record of `before` that is not in `now` at its turn."""
    at = 0
    for record in before:
        while at < len(now) and now[at] != record:
            at += 1
        if at == len(now):
            return record
        at += 1
    return None


def main(path, seconds, prefix):
    prefix = prefix.encode() + b"."
    counts = {"looks": 0, "appended": 0, "edited": 0, "truncated": 0, "others": 0, "most": 0}
    known, serial, end = [], 0, time.monotonic() + seconds
    truncate_at = time.monotonic() + TRUNCATE_EVERY
    while time.monotonic() < end:
        with Pool(path) as pool:
            now = foreign(pool.records, prefix)
            lost = harmed(known, now)
            if lost is not None:
                print(f"{key_of(lost)!r} was harmed", file=sys.stderr)
                return 1
            counts["looks"] += 1
            counts["most"] = max(counts["most"], len(pool.records))
            counts["others"] += max(0, len(now) - len(known))
            serial += 1
            mine = [i for i, r in enumerate(pool.records) if key_of(r).startswith(b"neighbour")]
            if time.monotonic() > truncate_at or len(pool.records) > RECORDS_MAX:
                pool.truncate()
                known, truncate_at = [], time.monotonic() + TRUNCATE_EVERY
                counts["truncated"] += 1
            elif mine and serial % 3 != 0:
                index = random.choice(mine)
                pool.put(index, record_of(key_of(pool.records[index]).decode(), f"edit {serial}"))
                pool.records[index] = record_of(
                    key_of(pool.records[index]).decode(), f"edit {serial}"
                )
                known = foreign(pool.records, prefix)
                counts["edited"] += 1
            else:
                record = record_of(f"neighbour.{serial % 20}", "x" * random.randrange(1, 1000))
                pool.put(len(pool.records), record)
                known = foreign(pool.records + [record], prefix)
                counts["appended"] += 1
        time.sleep(random.random() / 50)
    print(json.dumps(counts))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]), sys.argv[3]))
