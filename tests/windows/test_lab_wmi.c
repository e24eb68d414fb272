// SPDX-License-Identifier: Apache-2.0
//
// The stand-in WMI provider, looked at by wmi_probe.exe under Wine with a real lab behind it.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab_fixture.h"
#include "wine_fixture.h"

static struct wine wine;
static struct lab lab;

static void start(void)
{
    char address[LAB_ADDRESS];
    lab_start(&lab, "--tcp");
    lab_address(&lab, address);
    cr_assert_eq(setenv("KVPBUS_LAB", address, 1), 0);
    wine_make(&wine, false);
}

static void finish(void)
{
    wine_remove(&wine);
    lab_stop(&lab);
    lab_remove(&lab);
}

TestSuite(lab_wmi, .init = start, .fini = finish);

static bool group(const char *name, unsigned checks)
{
    const char *const words[] = {"tests/windows/wmi_probe.exe", name, NULL};
    return wine_checks(&wine, words, checks);
}

Test(lab_wmi, namespaces_in_every_spelling_and_the_systems_own)
{
    cr_assert(group("connect", 32));
}

Test(lab_wmi, computer_systems_by_query_and_by_path)
{
    cr_assert(group("systems", 100));
}

Test(lab_wmi, items_by_the_steps_of_the_documentation)
{
    lab_guest_write(&lab, LAB_ALPHA, "kvpbus.g", "of the guest");
    cr_assert(group("items", 1400)); // and one for each further look at a job
    cr_assert_str_eq(lab_pool_value(&lab, LAB_ALPHA, 0, "probe.2"), "of the host");
    cr_assert_null(lab_pool_value(&lab, LAB_ALPHA, 0, "probe.1"));
    cr_assert_null(lab_pool_value(&lab, LAB_ALPHA, 0, "many.127"));
}

Test(lab_wmi, threads_of_both_kinds_of_apartment)
{
    cr_assert(group("threads", 27));
}

Test(lab_wmi, asynchronous_calls)
{
    cr_assert(group("sinks", 18));
}

Test(lab_wmi, a_slow_answer_is_a_time_out_of_its_own_caller)
{
    lab_ctl(&lab, "fault alpha latency 3000 --count 1");
    cr_assert(group("slow", 9));
}

Test(lab_wmi, another_computer_and_who_may_use_it)
{
    cr_assert_eq(setenv("KVPBUS_LAB_REMOTE", "hv7;hv9=CORP\\operator:secret", 1), 0);
    cr_assert(group("remote", 25));
}

Test(lab_wmi, nothing_is_left_of_two_hundred_polls)
{
    cr_assert(group("references", 200));
}

Test(lab_wmi, a_service_that_denies_is_stopped_or_is_not_there)
{
    lab_ctl(&lab, "service deny");
    cr_assert(group("denied", 4));
    lab_ctl(&lab, "service stop");
    cr_assert(group("stopped", 4));
    lab_ctl(&lab, "service absent");
    cr_assert(group("absent", 4));
    lab_ctl(&lab, "service hide");
    cr_assert(group("hidden", 7));
    lab_ctl(&lab, "service normal");
    cr_assert(group("connect", 32));
}

Test(lab_wmi, a_service_that_is_restarted_under_its_client)
{
    const char *const words[] = {"tests/windows/wmi_probe.exe", "restarted", NULL};
    int input[2], output[2], status;
    char text[4096];
    size_t length = 0;
    cr_assert_eq(pipe2(input, O_CLOEXEC), 0);
    cr_assert_eq(pipe2(output, O_CLOEXEC), 0);
    pid_t pid = wine_start(&wine, words, input[0], output[1]);
    close(output[1]);
    for (ssize_t got = 1; got > 0 && length < sizeof text - 1;) {
        got = read(output[0], text + length, sizeof text - 1 - length);
        length += got > 0 ? (size_t)got : 0;
        text[length] = '\0';
        if (got > 0 && strstr(text, "connected") != NULL && strstr(text, "ran ") == NULL) {
            lab_ctl(&lab, "service restart");
            cr_assert_eq(write(input[1], "g", 1), 1);
        }
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_not_null(strstr(text, "ran 9 checks, 0 failed"), "%s", text);
}

// As on a machine on which the provider stands in for the system's locator.
Test(lab_wmi, registered_it_serves_scripts)
{
    char path[PATH_MAX], output[4096];
    snprintf(path, sizeof path, "Z:%s/lab/wmi/kvpbus-lab-wmi.dll", KVPBUS_WINDOWS_BUILD);
    const char *const registration[] = {"regsvr32", "/s", path, NULL};
    wine_run(&wine, registration, output, sizeof output);
    snprintf(path, sizeof path, "Z:%s/tests/windows/wmi_script.vbs", KVPBUS_SOURCE_DIR);
    const char *const script[] = {"cscript", "/nologo", path, NULL};
    cr_assert_eq(wine_run(&wine, script, output, sizeof output), 0);
    cr_assert_not_null(strstr(output, "2 machines\n"), "%s", output);
    cr_assert_not_null(strstr(output, "alpha is in state 2\n"), "%s", output);
    cr_assert_not_null(strstr(output, "ran 9 checks, 0 failed\n"), "%s", output);
    snprintf(path, sizeof path, "Z:%s/lab/wmi/kvpbus-lab-wmi.dll", KVPBUS_WINDOWS_BUILD);
    const char *const removal[] = {"regsvr32", "/s", "/u", path, NULL};
    wine_run(&wine, removal, output, sizeof output);
    const char *const again[] = {"reg", "query",
                                 "HKLM\\Software\\Classes\\CLSID\\"
                                 "{4590f811-1d3a-11d0-891f-00aa004b2e24}\\InprocServer32",
                                 NULL};
    wine_run(&wine, again, output, sizeof output);
    cr_assert_not_null(strstr(output, "wbemprox.dll"), "%s", output);
}
