#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""cloud_init_events.py POOL SECONDS: the real cloud-init reports events into a guest's pool file, as
fast as it can, through its own Hyper-V handler. While the pool is as full as its users may have it,
it waits until somebody empties it. Prints how many events and how many records of them it made."""
import json
import os
import sys
import time

from cloudinit.reporting import events, handlers

RECORD = handlers.HyperVKvpReportingHandler.HV_KVP_RECORD_SIZE
# Records in the pool. From 1,024 on the host reads it a tenth of the time, docs/architecture.md.
FULL = 900
FLUSH_EVERY = 5  # events


class Handler(handlers.HyperVKvpReportingHandler):
    """Counts what is to be written. When that fails it only logs it, and goes on."""

    made = 0

    def _encode_event(self, event):
        records = super()._encode_event(event)
        self.made += len(records)
        return records


def main(path, seconds):
    handler = Handler(kvp_file_path=path)
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        if os.path.getsize(path) >= FULL * RECORD:
            time.sleep(0.01)
            continue
        for _ in range(FLUSH_EVERY):
            text = f"event {count} " + "of a long list of things " * (count % 60)
            handler.publish_event(events.ReportingEvent("start", f"stage-{count % 7}", text))
            count += 1
        handler.flush()
    print(json.dumps({"events": count, "records": handler.made}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
