// SPDX-License-Identifier: Apache-2.0
#include "notice_limit.h"

#include <stdio.h>
#include <stdlib.h>

#include "programs.h"

enum { FOR_OTHERS = 64 }; // what else the machine's own services may want

// inotify(7): the limit on the inotify instances of one real user.
static const char limit_file[] = "/proc/sys/fs/inotify/max_user_instances";
static unsigned long limit_before;

static bool write_limit(unsigned long limit)
{
    FILE *file = fopen(limit_file, "we");
    if (file == NULL)
        return false;
    bool written = fprintf(file, "%lu\n", limit) > 0;
    return fclose(file) == 0 && written;
}

static void restore(void)
{
    (void)write_limit(limit_before);
}

void bench_allow_notices(size_t agents)
{
    unsigned long wanted = agents + FOR_OTHERS;
    FILE *file = fopen(limit_file, "re");
    if (file == NULL || fscanf(file, "%lu", &limit_before) != 1)
        bench_die("%s cannot be read", limit_file);
    fclose(file);
    if (limit_before >= wanted)
        return;
    if (!write_limit(wanted))
        bench_die("%zu agents on one machine need more notices of files than the %lu that it "
                  "allows; run 'sysctl fs.inotify.max_user_instances=%lu' as root first",
                  agents, limit_before, wanted);
    atexit(restore);
}
