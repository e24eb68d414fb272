// SPDX-License-Identifier: Apache-2.0
//
// The options of kvpbus-host.exe that say which Hyper-V host, and as whom, under Wine: what is
// wrong with them, and that they come to the connection.
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lab_fixture.h"
#include "wine_fixture.h"

static struct lab lab;
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

// What runs it with these options.
static void host_words(const char *const *options, const char *words[WINE_WORDS_MAX + 1])
{
    static char state[256];
    const char *const first[] = {"host/kvpbus-host.exe", "--state", state, "--socket",
                                 "\\\\.\\pipe\\kvpbus-options"};
    size_t count = sizeof first / sizeof *first;
    snprintf(state, sizeof state, "Z:%s/state", wine.directory);
    memcpy(words, first, sizeof first);
    for (size_t i = 0; options[i] != NULL; i++)
        words[count++] = options[i];
    words[count] = NULL;
}

// Runs it; gives its exit code, and in `said` what it wrote.
static int run_host(const char *const *options, char *said, size_t size)
{
    const char *words[WINE_WORDS_MAX + 1];
    host_words(options, words);
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

// --- connecting ---

static void start_with_lab(void)
{
    lab_start(&lab, "--tcp");
    wine_make_lab(&wine, lab.directory);
    cr_assert_eq(setenv("KVPBUS_LAB_REMOTE", "hv9=CORP\\operator:secret", 1), 0);
}

static void finish_with_lab(void)
{
    finish();
    lab_stop(&lab);
    lab_remove(&lab);
}

TestSuite(wmi_options_taken, .init = start_with_lab, .fini = finish_with_lab);

// It lists the VMs, and its hello comes to one.
static void expect_hello(const char *const *options)
{
    const char *words[WINE_WORDS_MAX + 1], *hello = NULL;
    int status;
    host_words(options, words);
    pid_t host = wine_start(&wine, words, -1, -1);
    for (int i = 0; i < 600 && hello == NULL; i++) {
        lab_sleep_ms(50);
        cr_assert_eq(waitpid(host, &status, WNOHANG), 0, "it has ended: %x", status);
        hello = lab_pool_value(&lab, LAB_ALPHA, 0, "kvpbus.h");
    }
    cr_assert_not_null(hello, "no hello has come to the VM");
    kill(host, SIGINT);
    cr_assert_eq(waitpid(host, &status, 0), host);
    cr_assert_eq(status, 0, "it ended with %x", status);
}

Test(wmi_options_taken, another_host_as_the_account_of_a_file)
{
    char said[4096], path[256];
    const char *const options[] = {"--hyperv-host", "hv9", "--credentials", path, NULL};
    snprintf(path, sizeof path, "Z:%s/credentials", wine.directory);
    write_file("credentials", "CORP\\operator\nsecre\n", 0600);
    cr_assert_neq(run_host(options, said, sizeof said), 0);
    cr_assert_not_null(strstr(said, "hv9: connecting to root\\virtualization\\v2"), "%s", said);
    cr_assert_not_null(strstr(said, "0x80070005 E_ACCESSDENIED"), "%s", said);
    cr_assert_null(strstr(said, "secre"));
    write_file("credentials", "CORP\\operator\nsecret\n", 0600);
    expect_hello(options);
}

Test(wmi_options_taken, the_old_namespace)
{
    char said[4096];
    const char *const options[] = {"--namespace", "v1", NULL};
    lab_ctl(&lab, "service deny");
    cr_assert_neq(run_host(options, said, sizeof said), 0);
    cr_assert_not_null(strstr(said, "connecting to root\\virtualization: "), "%s", said);
    lab_ctl(&lab, "service normal");
    expect_hello(options);
}
