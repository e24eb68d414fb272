// SPDX-License-Identifier: Apache-2.0
//
// The registry store with what only a registry has: registry_checks.exe, group by group, under
// Wine.
#include <criterion/criterion.h>

#include "wine_fixture.h"

static struct wine wine;

static void start(void)
{
    wine_make(&wine, false);
}

static void finish(void)
{
    wine_remove(&wine);
}

TestSuite(registry_checks, .init = start, .fini = finish);

static bool group(const char *name, unsigned checks)
{
    const char *const words[] = {"tests/windows/registry_checks.exe", name, NULL};
    return wine_checks(&wine, words, checks);
}

Test(registry_checks, values_of_other_types_and_lengths_are_skipped_and_left_alone)
{
    cr_assert(group("values", 60));
}

Test(registry_checks, names_are_compared_as_windows_does)
{
    cr_assert(group("names", 20));
}

Test(registry_checks, keys_may_be_missing_come_and_go)
{
    cr_assert(group("keys", 40));
}

Test(registry_checks, without_access_it_says_what_to_do)
{
    cr_assert(group("access", 20));
}

Test(registry_checks, no_notice_is_lost)
{
    cr_assert(group("notices", 1000));
}

Test(registry_checks, notices_come_on_a_loop)
{
    const char *const words[] = {"tests/windows/notice_checks.exe", NULL};
    cr_assert(wine_checks(&wine, words, 12));
}
