// SPDX-License-Identifier: Apache-2.0
//
// The WMI client without Hyper-V: wmi_checks.exe, group by group, under Wine, whose WMI has no
// namespace root\virtualization; and wmi_fake_checks.exe, where WMI is one that does as it is told.
#include <criterion/criterion.h>

#include "wine_fixture.h"

static struct wine wine;

static void start(void)
{
    wine_share(&wine, "wine-wmi");
}

TestSuite(wmi_checks, .init = start);

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

static bool fake_group(const char *name, unsigned checks)
{
    const char *const words[] = {"tests/windows/wmi_fake_checks.exe", name, NULL};
    return wine_checks(&wine, words, checks);
}

TestSuite(wmi_fake, .init = start);

Test(wmi_fake, what_is_asked_and_answered)
{
    cr_assert(fake_group("exchange", 30));
}

Test(wmi_fake, every_call_of_opening_fails_once_in_every_way)
{
    cr_assert(fake_group("faults-opening", 1000));
}

Test(wmi_fake, every_call_of_listing_fails_once_in_every_way)
{
    cr_assert(fake_group("faults-list", 1500));
}

Test(wmi_fake, every_call_of_reading_fails_once_in_every_way)
{
    cr_assert(fake_group("faults-reading", 9000));
}

Test(wmi_fake, every_call_of_changing_fails_once_and_nothing_is_done_twice)
{
    cr_assert(fake_group("faults-changing", 900));
}

Test(wmi_fake, a_service_that_is_hidden_is_a_matter_of_rights)
{
    cr_assert(fake_group("hidden", 4));
}

Test(wmi_fake, properties_of_other_types_are_none)
{
    cr_assert(fake_group("types", 250));
}

Test(wmi_fake, hostile_items_are_counted_and_hurt_nobody)
{
    cr_assert(fake_group("hostile", 15));
}

Test(wmi_fake, each_state_of_a_job_is_what_it_is)
{
    cr_assert(fake_group("jobs", 35));
}

Test(wmi_fake, each_return_value_is_passed_on)
{
    cr_assert(fake_group("return-values", 35));
}

Test(wmi_fake, what_hangs_ends_at_the_deadline)
{
    cr_assert(fake_group("hangs", 20));
}

Test(wmi_fake, many_threads_and_a_connection_that_is_lost_again_and_again)
{
    const char *const words[] = {"tests/windows/wmi_crowd_checks.exe", NULL};
    cr_assert(wine_checks(&wine, words, 12));
}

Test(wmi_fake, settings_of_many_checkpoints_hide_no_vm)
{
    cr_assert(fake_group("checkpoints", 18));
}

Test(wmi_fake, a_vm_goes_to_another_host_and_comes_back)
{
    cr_assert(fake_group("migration", 20));
}

Test(wmi_fake, two_hundred_vms_are_one_query)
{
    cr_assert(fake_group("queries", 500));
}
