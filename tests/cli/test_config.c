// SPDX-License-Identifier: Apache-2.0
//
// Sizes, durations and the configuration file: what is not understood is said with the file and the
// name, and nothing of it is guessed.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"

static char path[] = "/tmp/kvpbus-config-XXXXXX";
static struct kvpbus_service_arguments arguments;
static struct kvpbus_failure failure;

static enum kvpbus_error read_text(const char *text)
{
    strcpy(path + strlen(path) - 6, "XXXXXX");
    int file = mkstemp(path);
    cr_assert_geq(file, 0);
    cr_assert_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
    close(file);
    memset(&failure, 0, sizeof failure);
    enum kvpbus_error error = kvpbus_config_read(path, &arguments, &failure);
    unlink(path);
    return error;
}

static void refused(const char *text, const char *said)
{
    cr_assert_eq(read_text(text), KVPBUS_CONFIG, "%s", text);
    cr_assert(strstr(failure.detail, path) != NULL && strstr(failure.detail, said) != NULL,
              "'%s' does not name the file and '%s'", failure.detail, said);
}

Test(config, durations)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"0ms", 0},     {"500ms", 500},  {"10s", 10000},
                {"5m", 300000}, {"2h", 7200000}, {"1d", 86400000}};
    static const char *const bad[] = {"",
                                      "5",
                                      "s",
                                      "-5s",
                                      "+5s",
                                      " 5s",
                                      "5 s",
                                      "5 ms",
                                      "1.5s",
                                      "5sec",
                                      "0x5s",
                                      "99999999999999999999s",
                                      "18446744073709551615d"};
    uint64_t ms;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_assert(kvpbus_parse_duration(good[i].text, &ms), "%s", good[i].text);
        cr_assert_eq(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(kvpbus_parse_duration(bad[i], &ms), "%s", bad[i]);
}

Test(config, sizes)
{
    static const char *const bad[] = {"", "k", "-1", "1K", "1kB", "1.5M", "99999999999G"};
    uint64_t bytes;
    cr_assert(kvpbus_parse_size("512", &bytes) && bytes == 512);
    cr_assert(kvpbus_parse_size("64k", &bytes) && bytes == 65536);
    cr_assert(kvpbus_parse_size("16M", &bytes) && bytes == 16 << 20);
    cr_assert(kvpbus_parse_size("2G", &bytes) && bytes == UINT64_C(2) << 30);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(kvpbus_parse_size(bad[i], &bytes), "%s", bad[i]);
}

Test(config, every_option_is_read)
{
    cr_assert_eq(read_text("# kvpbus\n[kvpbus]\nstore = lab:/x\nstate = /s\nsocket=/k\n"
                           "prefix = bus2\nlog = debug\nring_slots = 8\npoll_fast = 50ms\n"
                           "poll_slow = 1s\nbody_max = 1M\noutbox_max = 2M\ninbox_max = 3M\n"
                           "journal_max = 4M\n"),
                 KVPBUS_OK, "%s", failure.detail);
    cr_assert_str_eq(arguments.store, "lab:/x");
    cr_assert_str_eq(arguments.state, "/s");
    cr_assert_str_eq(arguments.socket, "/k");
    cr_assert_str_eq(arguments.prefix, "bus2");
    cr_assert_eq(arguments.log, KVPBUS_LOG_DEBUG);
    cr_assert_eq(arguments.options.ring_slots, 8);
    cr_assert_eq(arguments.options.poll_fast_ms, 50);
    cr_assert_eq(arguments.options.poll_slow_ms, 1000);
    cr_assert_eq(arguments.options.body_max, 1 << 20);
    cr_assert_eq(arguments.options.outbox_max, 2 << 20);
    cr_assert_eq(arguments.options.inbox_max, 3 << 20);
    cr_assert_eq(arguments.options.journal_max, 4 << 20);
}

Test(config, the_command_line_comes_first)
{
    strcpy(arguments.state, "/given");
    cr_assert_eq(read_text("[kvpbus]\nstate = /file\nsocket = /file.sock\n"), KVPBUS_OK);
    cr_assert_str_eq(arguments.state, "/given");
    cr_assert_str_eq(arguments.socket, "/file.sock");
}

Test(config, the_example_is_valid_and_changes_nothing)
{
    static const struct kvpbus_service_arguments nothing;
    cr_assert_eq(kvpbus_config_read(KVPBUS_SOURCE_DIR "/cli/kvpbus.conf", &arguments, &failure),
                 KVPBUS_OK, "%s", failure.detail);
    cr_assert_arr_eq((const char *)&arguments, (const char *)&nothing, sizeof nothing);
}

Test(config, what_is_wrong_is_said)
{
    refused("[kvpbus]\nspeed = fast\n", "speed");
    refused("[other]\nlog = info\n", "log");
    refused("log = info\n", "log");
    refused("[kvpbus]\nlog = loud\n", "loud");
    refused("[kvpbus]\nring_slots = 0\n", "ring_slots");
    refused("[kvpbus]\nring_slots = 65\n", "ring_slots");
    refused("[kvpbus]\npoll_fast = 1ms\n", "poll_fast");
    refused("[kvpbus]\npoll_slow = soon\n", "soon");
    refused("[kvpbus]\nbody_max = 2G\n", "body_max");
    refused("[kvpbus]\nstate =\n", "state");
    refused("[kvpbus]\nprefix = abcdefghijklmnopqrstuvwxyz0123456789\n", "prefix");
    refused("[kvpbus]\nwhatever\n", "line 2");
}

Test(config, a_missing_file_is_said)
{
    cr_assert_eq(kvpbus_config_read("/nowhere/kvpbus.conf", &arguments, &failure), KVPBUS_CONFIG);
    cr_assert_not_null(strstr(failure.detail, "/nowhere/kvpbus.conf"));
    cr_assert_not_null(strstr(failure.detail, "No such file"));
}
