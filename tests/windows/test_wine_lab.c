// SPDX-License-Identifier: Apache-2.0
//
// The prefix that scripts/wine-lab makes, with programs in it that know nothing of the lab: a WMI
// client without a manifest, and Wine's own reg.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab_fixture.h"
#include "wine_fixture.h"

static struct lab lab;
static struct wine wine;
static pid_t service; // 0: none

static void start(const char *options)
{
    lab_start(&lab, options);
    wine_make_lab(&wine, lab.directory);
}

static void finish(void)
{
    wine_remove(&wine);
    if (service > 0)
        cr_assert_eq(waitpid(service, NULL, 0), service);
    lab_stop(&lab);
    lab_remove(&lab);
}

TestSuite(wine_lab, .fini = finish);

Test(wine_lab, any_wmi_client_finds_the_host)
{
    char command[512];
    start("--tcp");
    cr_assert_eq(unsetenv("KVPBUS_LAB"), 0);
    // A copy, which has no manifest beside it.
    snprintf(command, sizeof command, "cp '%s/tests/windows/wmi_probe.exe' '%s/prefix/drive_c/'",
             KVPBUS_WINDOWS_BUILD, wine.directory);
    cr_assert_eq(system(command), 0);
    const char *const words[] = {"cmd", "/c", "C:\\wmi_probe.exe", "connect", NULL};
    cr_assert(wine_checks(&wine, words, 25));
}

static void query(const char *key, char *output, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "HKLM\\SOFTWARE\\Microsoft\\Virtual Machine\\%s", key);
    const char *const words[] = {"reg", "query", path, "/reg:64", NULL};
    cr_assert_eq(wine_run(&wine, words, output, size), 0, "%s", output);
}

// Starts it and waits until it says that it is connected.
static void start_service(void)
{
    char line[256] = "", address[LAB_ADDRESS];
    int pipes[2];
    lab_address(&lab, address);
    const char *const words[] = {"cmd",   "/c",    "C:\\kvpbus-lab\\kvpbus-lab-integration.exe",
                                 address, "gamma", NULL};
    cr_assert_eq(pipe(pipes), 0);
    service = wine_start(&wine, words, -1, pipes[1]);
    close(pipes[1]);
    cr_assert_gt(read(pipes[0], line, sizeof line - 1), 0);
    close(pipes[0]);
    cr_assert_not_null(strstr(line, "gamma: connected"), "%s", line);
}

Test(wine_lab, any_program_is_in_the_guest)
{
    static char output[8192];
    const char *const add[] = {
        "reg",    "add",      "HKLM\\SOFTWARE\\Microsoft\\Virtual Machine\\Guest",
        "/v",     "kvpbus.h", "/d",
        "of reg", "/f",       "/reg:64",
        NULL};
    struct kvpbus_scan scan = {0};
    start("--windows-vm gamma");
    start_service();
    struct kvpbus_call_result result =
        lab_call(&lab, LAB_GAMMA, KVPBUS_OP_ADD, "a.foreign.key", "its value");
    cr_assert(lab_done(&result));
    query("External", output, sizeof output);
    cr_assert_not_null(strstr(output, "a.foreign.key    REG_SZ    its value"), "%s", output);
    query("Guest\\Parameters", output, sizeof output);
    cr_assert_not_null(strstr(output, "VirtualMachineName    REG_SZ    gamma"), "%s", output);
    cr_assert_eq(wine_run(&wine, add, output, sizeof output), 0);
    cr_assert_eq(lab_read(&lab, LAB_GAMMA, &scan), KVPBUS_OK);
    cr_assert_eq(scan.count, 1);
    cr_assert_str_eq(scan.items[0].value, "of reg");
    kvpbus_scan_free(&scan);
}
