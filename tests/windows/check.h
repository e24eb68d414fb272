// SPDX-License-Identifier: Apache-2.0
//
// Checks of a Windows program that a Criterion test runs under Wine: each is counted, and the last
// line says how many, so that a program that did not run, or ended early, cannot pass.
#ifndef KVPBUS_TESTS_CHECK_H
#define KVPBUS_TESTS_CHECK_H

#include <stdbool.h>
#include <stdio.h>

static unsigned checks_ran, checks_failed;

static inline void check(bool holds, const char *text, const char *file, int line)
{
    checks_ran++;
    if (holds)
        return;
    checks_failed++;
    printf("%s:%d: %s\n", file, line, text);
}

#define CHECK(condition) check((condition), #condition, __FILE__, __LINE__)

// The program's exit code.
static inline int checks_end(void)
{
    printf("ran %u checks, %u failed\n", checks_ran, checks_failed);
    fflush(stdout);
    return checks_failed == 0 ? 0 : 1;
}

#endif
