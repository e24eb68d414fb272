#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""cloud_init_events.py POOL SECONDS: the real cloud-init reports events into a guest's pool file, as
fast as it can, through its own Hyper-V handler. Prints how many."""
import sys
import time

from cloudinit.reporting import events, handlers


def main(path, seconds):
    handler = handlers.HyperVKvpReportingHandler(kvp_file_path=path)
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        for _ in range(5):
            text = f"event {count} " + "of a long list of things " * (count % 60)
            handler.publish_event(events.ReportingEvent("start", f"stage-{count % 7}", text))
            count += 1
        handler.flush()
        time.sleep(0.02)  # else the pool is full before its other users had a turn
    print(count)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
