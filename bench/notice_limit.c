// SPDX-License-Identifier: Apache-2.0
#include "notice_limit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "programs.h"

enum { FOR_OTHERS = 64 }; // what else the machine's own services may want

// inotify(7): the limit on the inotify instances of one real user.
static const char limit_file[] = "/proc/sys/fs/inotify/max_user_instances";
static char limit_before[32]; // as the file says it

// Also in a signal's handler.
static bool write_limit(const char *limit)
{
    size_t length = strlen(limit);
    int file = open(limit_file, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    bool written = write(file, limit, length) == (ssize_t)length;
    return close(file) == 0 && written;
}

static void restore(void)
{
    (void)write_limit(limit_before);
}

static void restore_and_end(int number)
{
    restore();
    raise(number); // whose action is the default again
}

void bench_allow_notices(size_t agents)
{
    unsigned long wanted = agents + FOR_OTHERS;
    char limit[32];
    FILE *file = fopen(limit_file, "re");
    if (file == NULL || fgets(limit_before, sizeof limit_before, file) == NULL)
        bench_die("%s cannot be read", limit_file);
    fclose(file);
    unsigned long before = strtoul(limit_before, NULL, 10);
    if (before >= wanted)
        return;
    snprintf(limit, sizeof limit, "%lu", wanted);
    if (!write_limit(limit))
        bench_die("%zu agents on one machine need more notices of files than the %lu that it "
                  "allows; run 'sysctl fs.inotify.max_user_instances=%lu' as root first",
                  agents, before, wanted);
    struct sigaction action = {.sa_handler = restore_and_end, .sa_flags = (int)SA_RESETHAND};
    atexit(restore);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}
