#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Another program that uses a guest's pool file, and watches over it.

pool_neighbour.py POOL SECONDS PREFIX EVENTS: appends, edits and now and then truncates records of its
own, under both kinds of locks, as a careful program does. Each time it has the locks it also looks at
every record that is not of PREFIX.*: all that stood there before must stand there still, byte by
byte and in the same order, its own, those of other programs, and duplicates. What it does itself is
the only exception. After SECONDS it goes on until the file EVENTS has what cloud_init_events.py has
printed at its end: as many records of cloud-init must have been seen. Prints what it did as JSON and
ends with 1 when a record was harmed, or one of cloud-init's was never there.
"""
import fcntl
import json
import os
import random
import sys
import time

KEY, VALUE = 512, 2048
RECORD = KEY + VALUE
TRUNCATE_EVERY = 6.0  # seconds
# Sooner when the pool is near to what its readers take, but not so soon that they cannot keep up.
RECORDS_MAX = 800
TRUNCATE_NOT_BEFORE = 1.0
PATIENCE = 60.0  # for EVENTS, after SECONDS


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


def size_of(path):
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0


def all_were_seen(path, seen):
    with open(path) as file:
        made = json.load(file)["records"]
    if made == seen > 0:
        return True
    print(f"cloud-init has made {made} records, {seen} were there", file=sys.stderr)
    return False


def act(pool, serial, truncate):
    """Truncates, edits or appends. What it did, and the records that there are then."""
    mine = [i for i, r in enumerate(pool.records) if key_of(r).startswith(b"neighbour")]
    if truncate:
        pool.truncate()
        return "truncated", []
    if mine and serial % 3 != 0:
        index = random.choice(mine)
        record = record_of(key_of(pool.records[index]).decode(), f"edit {serial}")
        pool.put(index, record)
        return "edited", pool.records[:index] + [record] + pool.records[index + 1 :]
    record = record_of(f"neighbour.{serial % 20}", "x" * random.randrange(1, 1000))
    pool.put(len(pool.records), record)
    return "appended", pool.records + [record]


def main(path, seconds, prefix, events):
    prefix = prefix.encode() + b"."
    counts = {"looks": 0, "appended": 0, "edited": 0, "truncated": 0, "most": 0}
    known, of_cloud_init, begun = [], set(), time.monotonic()
    truncated, more = begun, True
    while more:
        time.sleep(random.random() / 50)
        now = time.monotonic()
        more = now < begun + seconds or (size_of(events) == 0 and now < begun + seconds + PATIENCE)
        with Pool(path) as pool:
            others = foreign(pool.records, prefix)
            lost = harmed(known, others)
            if lost is not None:
                print(f"{key_of(lost)!r} was harmed", file=sys.stderr)
                return 1
            of_cloud_init.update(k for k in map(key_of, others) if k.startswith(b"CLOUD_INIT|"))
            counts["looks"] += 1
            counts["most"] = max(counts["most"], len(pool.records))
            pause = TRUNCATE_NOT_BEFORE if len(pool.records) > RECORDS_MAX else TRUNCATE_EVERY
            done, records = act(pool, counts["looks"], now > truncated + pause)
            known = foreign(records, prefix)
            truncated = now if done == "truncated" else truncated
            counts[done] += 1
    if not all_were_seen(events, len(of_cloud_init)):
        return 1
    counts["of cloud-init"] = len(of_cloud_init)
    print(json.dumps(counts))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]), sys.argv[3], sys.argv[4]))
