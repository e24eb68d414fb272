// SPDX-License-Identifier: Apache-2.0
//
// The stand-in WMI provider, looked at by wmi_probe.exe under Wine with a real lab behind it.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "lab_fixture.h"
#include "wine_fixture.h"

static struct wine wine;
static struct lab lab;

static void start(void)
{
    char path[96], address[32];
    unsigned port = 0;
    lab_start(&lab, "--tcp");
    snprintf(path, sizeof path, "%s/host.port", lab.directory);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file);
    cr_assert_eq(fscanf(file, "%u", &port), 1);
    fclose(file);
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
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
    cr_assert(group("connect", 25));
}

Test(lab_wmi, computer_systems_by_query_and_by_path)
{
    cr_assert(group("systems", 60));
}
