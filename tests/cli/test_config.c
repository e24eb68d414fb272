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
static char warned[256];
static size_t unknown;

static void warn(const char *text)
{
    snprintf(warned, sizeof warned, "%s", text);
}

static enum kvpbus_error read_text(const char *text)
{
    strcpy(path + strlen(path) - 6, "XXXXXX");
    int file = mkstemp(path);
    cr_assert_geq(file, 0);
    cr_assert_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
    close(file);
    memset(&failure, 0, sizeof failure);
    enum kvpbus_error error = kvpbus_config_read(path, &arguments, warn, &unknown, &failure);
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
                           "journal_max = 4M\nstop_within = 3s\nlog_format = json\n"
                           "control_reserve = 8k\nbulk_max = 5M\nlease = 5s\ntries_max = 3\n"
                           "history = 2h\n"
                           "[security]\ntrusted_host = /t\nenroll_token_file = /e\n"
                           "known_guests = /g\n"),
                 KVPBUS_OK, "%s", failure.detail);
    cr_assert_str_eq(arguments.trusted_host, "/t");
    cr_assert_str_eq(arguments.enroll_token_file, "/e");
    cr_assert_str_eq(arguments.known_guests, "/g");
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
    cr_assert_eq(arguments.options.stop_within_ms, 3000);
    cr_assert_eq(arguments.options.control_reserve, 8 << 10);
    cr_assert_eq(arguments.options.bulk_max, 5 << 20);
    cr_assert_eq(arguments.options.lease_ms, 5000);
    cr_assert_eq(arguments.options.tries_max, 3);
    cr_assert_eq(arguments.options.history_ms, 7200000);
    cr_assert_eq(arguments.log_format, KVPBUS_LOG_JSON);
    cr_assert_eq(unknown, 0);
}

Test(config, a_vm_may_have_room_of_its_own)
{
    cr_assert_eq(read_text("[vm web 1]\noutbox_max = 2M\nbulk_max = 1M\n[kvpbus]\n"
                           "outbox_max = 3M\n[vm 12345678-9ABC-DEF0-1234-56789ABCDEF0]\n"
                           "inbox_max = 4M\n[vm web 1]\ninbox_max = 5M\n"),
                 KVPBUS_OK, "%s", failure.detail);
    cr_assert_eq(unknown, 0);
    cr_assert_eq(arguments.options.outbox_max, 3 << 20);
    cr_assert_eq(arguments.quota_count, 2);
    cr_assert_str_eq(arguments.quotas[0].peer, "web 1");
    cr_assert_eq(arguments.quotas[0].outbox_max, 2 << 20);
    cr_assert_eq(arguments.quotas[0].bulk_max, 1 << 20);
    cr_assert_eq(arguments.quotas[0].inbox_max, 5 << 20);
    cr_assert_str_eq(arguments.quotas[1].peer, "12345678-9ABC-DEF0-1234-56789ABCDEF0");
    cr_assert_eq(arguments.quotas[1].inbox_max, 4 << 20);
    static const struct kvpbus_service_arguments nothing;
    struct kvpbus_config_change changes[KVPBUS_CONFIG_OPTIONS_MAX];
    size_t count = kvpbus_config_changes(&nothing, &arguments, changes);
    cr_assert_eq(count, 2);
    cr_assert_not_null(strstr(changes[1].name, "single VM"));
}

Test(config, a_vm_s_section_has_no_other_options)
{
    cr_assert_eq(read_text("[vm web]\nprefix = bus2\n"), KVPBUS_OK);
    cr_assert_eq(unknown, 1);
    cr_assert_not_null(strstr(warned, "[vm web]"));
    refused("[vm web]\noutbox_max = 5\n", "VM web");
    refused("[vm a-name-that-is-longer-than-what-the-parser-keeps-of-it]\noutbox_max = 5M\n",
            "GUID");
    char text[64 * 40] = "";
    for (int i = 0; i <= KVPBUS_CONFIG_QUOTAS_MAX; i++)
        snprintf(text + strlen(text), 40, "[vm v%d]\noutbox_max = 5M\n", i);
    refused(text, "64");
}

Test(config, the_command_line_comes_first)
{
    strcpy(arguments.state, "/given");
    cr_assert_eq(read_text("[kvpbus]\nstate = /file\nsocket = /file.sock\n"), KVPBUS_OK);
    cr_assert_str_eq(arguments.state, "/given");
    cr_assert_str_eq(arguments.socket, "/file.sock");
}

static char *text_of(const char *name)
{
    static char text[32 * 1024];
    FILE *file = fopen(name, "r");
    cr_assert_not_null(file, "%s", name);
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    return text;
}

Test(config, the_file_is_printed_from_the_table)
{
    char printed[32 * 1024] = "";
    FILE *out = fmemopen(printed, sizeof printed, "w");
    kvpbus_config_print(out);
    fclose(out);
    cr_assert_str_eq(text_of(KVPBUS_SOURCE_DIR "/cli/kvpbus.conf"), printed,
                     "'kvpbus-host --print-config' writes it anew");
}

Test(config, the_file_changes_nothing)
{
    static const struct kvpbus_service_arguments nothing;
    cr_assert_eq(kvpbus_config_read(KVPBUS_SOURCE_DIR "/cli/kvpbus.conf", &arguments, warn,
                                    &unknown, &failure),
                 KVPBUS_OK, "%s", failure.detail);
    cr_assert_arr_eq((const char *)&arguments, (const char *)&nothing, sizeof nothing);
}

Test(config, what_the_file_shows_can_be_set)
{
    char text[32 * 1024] = "";
    char *line = strtok(text_of(KVPBUS_SOURCE_DIR "/cli/kvpbus.conf"), "\n");
    int options = 0;
    for (; line != NULL; line = strtok(NULL, "\n"))
        if (line[0] == '[' || strncmp(line, "# [", 3) == 0) {
            strcat(strcat(text, strchr(line, '[')), "\n");
        } else if (line[0] == '#' && strstr(line, " = ") != NULL) {
            strcat(strcat(text, line + 2), "\n");
            options++;
        }
    cr_assert_gt(options, 5);
    cr_assert_eq(read_text(text), KVPBUS_OK, "%s", failure.detail);
    cr_assert_eq(unknown, 0);
}

static void in_the_page(const char *name, const char *values, const char *says)
{
    char entry[512];
    snprintf(entry, sizeof entry, "\n*%s*\n\t%s Values: %s. Takes effect ", name, says, values);
    cr_assert_not_null(strstr(text_of(KVPBUS_SOURCE_DIR "/docs/man/kvpbus.conf.5.scd"), entry),
                       "kvpbus.conf(5) has not: %s", entry);
}

Test(config, the_page_has_every_option)
{
    kvpbus_config_each(in_the_page);
}

Test(config, an_unknown_option_is_left_out)
{
    cr_assert_eq(read_text("[kvpbus]\nspeed = fast\nring_slots = 9\n[newer]\nlog = loud\n"),
                 KVPBUS_OK);
    cr_assert_eq(unknown, 2);
    cr_assert_not_null(strstr(warned, "[newer]"), "%s", warned);
    cr_assert_eq(arguments.options.ring_slots, 9);
    cr_assert_eq(read_text("log = info\n"), KVPBUS_OK);
    cr_assert_eq(unknown, 1);
}

Test(config, changes)
{
    static struct kvpbus_service_arguments now, fresh;
    struct kvpbus_config_change changes[KVPBUS_CONFIG_OPTIONS_MAX];
    cr_assert_eq(kvpbus_config_changes(&now, &fresh, changes), 0);
    fresh.log_format = KVPBUS_LOG_JSON;
    fresh.options.ring_slots = 3;
    strcpy(fresh.prefix, "other");
    cr_assert_eq(kvpbus_config_changes(&now, &fresh, changes), 3);
    cr_assert_str_eq(changes[0].name, "prefix");
    cr_assert_not(changes[0].at_once);
    cr_assert_str_eq(changes[2].name, "log_format");
    cr_assert(changes[2].at_once);
}

Test(config, what_is_wrong_is_said)
{
    refused("[security]\nspeed = fast\n", "speed");
    refused("[security]\nlog = info\n", "log");
    refused("[security]\ntrusted_host =\n", "trusted_host");
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

Test(config, a_comment_may_be_long_and_an_option_not)
{
    char text[2048] = "[kvpbus]\n# ";
    size_t begin = strlen(text);
    memset(text + begin, 'x', 1000);
    strcpy(text + begin + 1000, "\nring_slots = 9\n");
    cr_assert_eq(read_text(text), KVPBUS_OK, "%s", failure.detail);
    cr_assert_eq(arguments.options.ring_slots, 9);
    memcpy(text + begin - 2, "state = /", 9);
    refused(text, "line 2 is longer than 198 bytes");
}

Test(config, a_missing_file_is_said)
{
    cr_assert_eq(kvpbus_config_read("/nowhere/kvpbus.conf", &arguments, warn, &unknown, &failure),
                 KVPBUS_CONFIG);
    cr_assert_not_null(strstr(failure.detail, "/nowhere/kvpbus.conf"));
    cr_assert_not_null(strstr(failure.detail, "No such file"));
}
