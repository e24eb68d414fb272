// SPDX-License-Identifier: Apache-2.0
#include "log_target.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// The variable is inherited also by what logs to a file: it counts when it names this stderr.
static bool is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat status;
    return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

enum kvpbus_log_target kvpbus_log_target(void)
{
    return is_journal() ? KVPBUS_LOG_JOURNAL : KVPBUS_LOG_STREAM;
}

void kvpbus_log_report(enum kvpbus_log_level level, enum kvpbus_log_event event, const char *line)
{
    (void)level;
    (void)event;
    (void)line;
}
