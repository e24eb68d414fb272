// SPDX-License-Identifier: Apache-2.0
//
// The WMI client without Hyper-V: wmi_checks.exe, group by group, under Wine, whose WMI has no
// namespace root\virtualization.
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

TestSuite(wmi_checks, .init = start, .fini = finish);

static bool group(const char *name, unsigned checks)
{
    const char *const words[] = {"tests/windows/wmi_checks.exe", name, NULL};
    return wine_checks(&wine, words, checks);
}

Test(wmi_checks, without_hyperv_it_says_so_and_keeps_nothing)
{
    cr_assert(group("without-hyperv", 200));
}

Test(wmi_checks, options_are_checked_before_anything_is_asked)
{
    cr_assert(group("options", 20));
}

Test(wmi_checks, strings_are_counted)
{
    cr_assert(group("strings", 5));
}

Test(wmi_checks, a_call_that_hangs_holds_up_its_caller_alone)
{
    cr_assert(group("threads", 20));
}

Test(wmi_checks, threads_are_bounded)
{
    cr_assert(group("too-many-threads", 70));
}

Test(wmi_checks, closing_waits_for_no_call_that_hangs)
{
    cr_assert(group("closing", 6));
}
