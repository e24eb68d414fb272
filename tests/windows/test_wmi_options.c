// SPDX-License-Identifier: Apache-2.0
//
// The options of kvpbus-host.exe that say which Hyper-V host, and as whom, under Wine.
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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

TestSuite(wmi_options, .init = start, .fini = finish);

// Runs it; gives its exit code, and in `said` what it wrote.
static int run_host(const char *const *options, char *said, size_t size)
{
    const char *words[WINE_WORDS_MAX + 1] = {"host/kvpbus-host.exe", "--state", NULL, "--socket",
                                             "\\\\.\\pipe\\kvpbus-options"};
    char state[256];
    size_t count = 5;
    snprintf(state, sizeof state, "Z:%s/state", wine.directory);
    words[2] = state;
    for (size_t i = 0; options[i] != NULL; i++)
        words[count++] = options[i];
    return wine_run_both(&wine, words, said, size);
}

struct words {
    char options[4][40];
    char says[80];
};

ParameterizedTestParameters(wmi_options, what_is_wrong_is_said_at_once)
{
    static struct words cases[] = {
        {{"--hyperv-host"}, "--hyperv-host wants a value"},
        {{"--hyperv-host="}, "--hyperv-host wants a value"},
        {{"--hyperv-host", "a b"}, "'a b' is not the name of a host"},
        {{"--namespace", "v3"}, "there is no namespace 'v3': v1 or v2"},
        {{"--credentials", "x"}, "name it with --hyperv-host"},
        {{"--hyperv-host=hv7", "--credentials=missing"}, "cannot"},
        {{"--store", "lab:127.0.0.1:1", "--namespace", "v1"}, "are for the store wmi"},
        {{"--hyperv-host=hv7", "--credentials", "-"}, "there is no console to ask at"},
        {{"--namespace=v2"}, "0x8004100E WBEM_E_INVALID_NAMESPACE"},
    };
    return cr_make_param_array(struct words, cases, sizeof cases / sizeof *cases);
}

ParameterizedTest(struct words *words, wmi_options, what_is_wrong_is_said_at_once)
{
    char said[4096];
    const char *options[5] = {NULL};
    for (size_t i = 0; i < 4 && words->options[i][0] != '\0'; i++)
        options[i] = words->options[i];
    int status = run_host(options, said, sizeof said);
    cr_assert_not_null(strstr(said, words->says), "%s", said);
    cr_assert_not_null(strstr(said, "kvpbus-host: "));
    cr_assert_neq(status, 0);
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", wine.directory, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    cr_assert_eq(fclose(file), 0);
    cr_assert_eq(chmod(path, mode), 0);
}

Test(wmi_options, a_file_of_credentials_is_for_its_owner_alone)
{
    char said[4096], path[256];
    const char *const options[] = {"--hyperv-host", "hv7", "--credentials", path, NULL};
    snprintf(path, sizeof path, "Z:%s/credentials", wine.directory);
    write_file("credentials", "CORP\\operator\nsecret\n", 0644);
    run_host(options, said, sizeof said);
    cr_assert_not_null(strstr(said, "credentials"), "%s", said);
    cr_assert_null(strstr(said, "connecting"), "%s", said);
    write_file("credentials", "CORP\\operator\n", 0600);
    run_host(options, said, sizeof said);
    cr_assert_not_null(strstr(said, "the password on the second"), "%s", said);
    // Wine's own WMI knows no other hosts: as far as that it goes.
    write_file("credentials", "CORP\\operator\nsecret\n", 0600);
    run_host(options, said, sizeof said);
    cr_assert_not_null(strstr(said, "hv7: connecting to root\\virtualization\\v2"), "%s", said);
    cr_assert_null(strstr(said, "secret"));
}

Test(wmi_options, help_has_them)
{
    char output[8192];
    const char *const words[] = {"host/kvpbus-host.exe", "--help", NULL};
    cr_assert_eq(wine_run(&wine, words, output, sizeof output), 0);
    cr_assert_not_null(strstr(output, "--hyperv-host NAME"));
    cr_assert_not_null(strstr(output, "--credentials FILE"));
    cr_assert_not_null(strstr(output, "--namespace v1"));
}
