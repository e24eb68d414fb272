// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "ini_file.h"
#include "ini_line.h"
#include "metrics_server.h"
#include "paths.h"
#include "words.h"

struct unit {
    const char *name;
    uint64_t factor;
};

static bool parse_unit(const char *text, const struct unit *units, size_t count, uint64_t *value)
{
    char *end;
    if (!isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    for (size_t i = 0; errno == 0 && i < count; i++) {
        if (strcmp(end, units[i].name) != 0)
            continue;
        if (number > UINT64_MAX / units[i].factor)
            return false;
        *value = number * units[i].factor;
        return true;
    }
    return false;
}

bool kvpbus_parse_size(const char *text, uint64_t *bytes)
{
    static const struct unit units[] = {{"", 1}, {"k", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}};
    return parse_unit(text, units, sizeof units / sizeof *units, bytes);
}

bool kvpbus_parse_duration(const char *text, uint64_t *ms)
{
    static const struct unit units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    return parse_unit(text, units, sizeof units / sizeof *units, ms);
}

enum kind {
    KIND_TEXT,
    KIND_PREFIX,
    KIND_ADDRESS,
    KIND_SIZE,
    KIND_MS,
    KIND_COUNT,
    KIND_LOG,
    KIND_FORMAT,
    KIND_TRUST, // a path, in the section [security]
};

// The one list of options: what is read, the file kvpbus.conf, and kvpbus.conf(5) agree with it.
static const struct {
    const char *name;
    enum kind kind;
    bool at_once; // when it is read again, else at the next start
    size_t offset, size;
    uint64_t min, max;
    const char *fallback; // what stands in the file as an example of the default
    const char *values;   // which values there are, and which holds without one
    const char *says;
} known[] = {
#define FIELD(name) offsetof(struct kvpbus_service_arguments, name)
    {"store", KIND_TEXT, false, FIELD(store), KVPBUS_PATH_MAX, 0, 0, "",
     KVPBUS_WORD_STORES "; what the machine has itself unless given",
     "Where the items are exchanged."},
    {"state", KIND_TEXT, false, FIELD(state), KVPBUS_PATH_MAX, 0, 0, "",
     "a folder; " KVPBUS_HOST_STATE ", " KVPBUS_GUEST_STATE " unless given",
     "Where identity and journal are kept."},
    {"socket", KIND_TEXT, false, FIELD(socket), KVPBUS_PATH_MAX, 0, 0, "", KVPBUS_WORD_SOCKET,
     "Where the kvpbus command finds the service."},
    {"prefix", KIND_PREFIX, false, FIELD(prefix), KVPBUS_PREFIX_MAX + 1, 0, 0, "kvpbus",
     "1 to 32 of a-z and 0-9; kvpbus unless given",
     "Of the keys in the stores; both sides need the same."},
    {"ring_slots", KIND_COUNT, false, FIELD(options.ring_slots), 0, 1, 64, "64",
     "1 to 64; 64 unless given", "Data items in the store at most."},
    {"poll_fast", KIND_MS, true, FIELD(options.poll_fast_ms), 0, 10, 60000, "200ms",
     "10ms to 60s; 200ms unless given",
     "Between two looks at the other side's store while something is on its way."},
    {"poll_slow", KIND_MS, true, FIELD(options.poll_slow_ms), 0, 100, 600000, "2s",
     "100ms to 10m; 2s on a host, 10s in a guest unless given",
     "The same at rest; a guest is told of changes anyway."},
    {"body_max", KIND_SIZE, false, FIELD(options.body_max), 0, 1, UINT64_C(1) << 30, "16M",
     "1 to 1G; 16M unless given", "Longest message; both sides should have the same."},
    {"outbox_max", KIND_SIZE, false, FIELD(options.outbox_max), 0, 1 << 20, UINT64_C(1) << 40,
     "256M", "1M to 1024G; 256M unless given",
     "Room for queued messages of one peer; when it is used up new ones are refused."},
    {"inbox_max", KIND_SIZE, false, FIELD(options.inbox_max), 0, 1 << 20, UINT64_C(1) << 40, "256M",
     "1M to 1024G; 256M unless given",
     "Room for received messages of one peer; when it is used up the peer waits."},
    {"journal_max", KIND_SIZE, false, FIELD(options.journal_max), 0, 1 << 20, UINT64_C(1) << 44,
     "8G", "1M to 16384G; 8G unless given", "Room for the whole journal."},
    {"control_reserve", KIND_SIZE, false, FIELD(options.control_reserve), 0, 4096,
     UINT64_C(1) << 30, "1M", "4k to 1G; 1M unless given",
     "Of each of these three, the part that only messages of class control may use."},
    {"bulk_max", KIND_SIZE, false, FIELD(options.bulk_max), 0, 1 << 20, UINT64_C(1) << 40, "",
     "1M to 1024G; three quarters of outbox_max and of inbox_max unless given",
     "Room for messages of class bulk among those of one peer, queued and received alike."},
    {"lease", KIND_MS, true, FIELD(options.lease_ms), 0, 1000, 86400000, "60s",
     "1s to 1d; 60s unless given",
     "How long a program has a received message to itself when it does not say."},
    {"tries_max", KIND_COUNT, false, FIELD(options.tries_max), 0, 1, 65535, "10",
     "1 to 65535; 10 unless given", "How often a message is given out before it is a dead letter."},
    {"history", KIND_MS, false, FIELD(options.history_ms), 0, 3600000, UINT64_C(49) * 86400000,
     "7d", "1h to 49d; 7d unless given",
     "How long outcomes, message ids and dead letters are kept."},
    {"audit_max", KIND_COUNT, false, FIELD(options.audit_max), 0, 1000, 100000000, "1000000",
     "1000 to 100000000; 1000000 unless given, but one for 2 KiB of journal_max at most",
     "How many entries of the audit are kept."},
    {"audit_days", KIND_COUNT, false, FIELD(options.audit_days), 0, 1, 36500, "365",
     "1 to 36500; 365 unless given", "How many days they are kept."},
    {"metrics", KIND_ADDRESS, false, FIELD(metrics), KVPBUS_PATH_MAX, 0, 0, "", KVPBUS_WORD_METRICS,
     "Where Prometheus finds the figures of GET /metrics."},
    {"stop_within", KIND_MS, true, FIELD(options.stop_within_ms), 0, 1000, 300000, "20s",
     "1s to 5m; 20s unless given",
     "How long a stop waits for what is under way at most; a second signal ends at once."},
    {"log", KIND_LOG, true, FIELD(log), 0, 0, 0, "info",
     "error, warning, info or debug; info unless given", "Which lines are logged."},
    {"log_format", KIND_FORMAT, true, FIELD(log_format), 0, 0, 0, "text",
     "text or json, one object a line; text unless given", KVPBUS_WORD_LOG_FORMAT},
    {"trusted_host", KIND_TRUST, true, FIELD(trusted_host), KVPBUS_PATH_MAX, 0, 0,
     KVPBUS_TRUSTED_HOST, "a path; " KVPBUS_TRUSTED_HOST " unless given",
     "In a guest: a file with the host's public key, which is pinned while no host is."},
    {"enroll_token_file", KIND_TRUST, true, FIELD(enroll_token_file), KVPBUS_PATH_MAX, 0, 0,
     KVPBUS_ENROLL_TOKEN, "a path; " KVPBUS_ENROLL_TOKEN " unless given",
     "In a guest: a file with a token of 'kvpbus enroll', which is taken and removed."},
    {"known_guests", KIND_TRUST, true, FIELD(known_guests), KVPBUS_PATH_MAX, 0, 0,
     KVPBUS_KNOWN_GUESTS, "a path; " KVPBUS_KNOWN_GUESTS " unless given",
     "On a host: a file with lines of GUID and public key, pinned for VMs that are not paired."},
#undef FIELD
};

enum {
    KNOWN = sizeof known / sizeof *known,
    SECTION_MAX = 49, // characters that the parser keeps of a section's name
};

#define VM_SECTION "vm "

static const char *section_of(size_t i)
{
    return known[i].kind == KIND_TRUST ? "security" : "kvpbus";
}

struct reading {
    const char *path;
    struct kvpbus_service_arguments *arguments;
    kvpbus_config_warn_fn *warn;
    struct kvpbus_failure *failure;
    size_t unknown;
};

static bool set_word(const char *const *words, size_t count, const char *value, unsigned *number)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(value, words[i]) == 0) {
            *number = i;
            return true;
        }
    return false;
}

static bool set_log(const char *value, enum kvpbus_log_level *log)
{
    static const char *const levels[] = {"error", "warning", "info", "debug"};
    unsigned number;
    if (!set_word(levels, sizeof levels / sizeof *levels, value, &number))
        return false;
    *log = (enum kvpbus_log_level)number;
    return true;
}

static bool set_format(const char *value, enum kvpbus_log_format *format)
{
    static const char *const formats[] = {"text", "json"};
    unsigned number;
    if (!set_word(formats, sizeof formats / sizeof *formats, value, &number))
        return false;
    *format = (enum kvpbus_log_format)number;
    return true;
}

// The command line comes first.
static bool keep_text(size_t i, char *field, const char *value)
{
    if (strlen(value) >= known[i].size)
        return false;
    if (field[0] == '\0')
        strcpy(field, value);
    return true;
}

static bool set(size_t i, void *field, const char *value)
{
    uint64_t number;
    switch (known[i].kind) {
    case KIND_PREFIX:
        if (!kvpbus_prefix_valid(value))
            return false;
        return keep_text(i, field, value);
    case KIND_ADDRESS:
        return kvpbus_metrics_address_valid(value) && keep_text(i, field, value);
    case KIND_TEXT:
    case KIND_TRUST:
        return value[0] != '\0' && keep_text(i, field, value);
    case KIND_LOG:
        return set_log(value, field);
    case KIND_FORMAT:
        return set_format(value, field);
    case KIND_SIZE:
        if (!kvpbus_parse_size(value, &number) || number < known[i].min || number > known[i].max)
            return false;
        *(uint64_t *)field = number;
        return true;
    case KIND_MS:
    case KIND_COUNT:
        if (!(known[i].kind == KIND_MS ? kvpbus_parse_duration(value, &number)
                                       : kvpbus_parse_size(value, &number)) ||
            number < known[i].min || number > known[i].max)
            return false;
        *(uint32_t *)field = (uint32_t)number;
        return true;
    }
    return false;
}

// A file that was written for a newer version must not keep an older one from starting, unless the
// option would have made something safer: those are in the section [security].
static int unknown(struct reading *reading, const char *section, const char *name)
{
    char text[sizeof reading->failure->detail];
    snprintf(text, sizeof text,
             "%s: there is no option %.64s in section [%.64s]; " KVPBUS_WORD_OPTIONS_LISTED,
             reading->path, name, section);
    reading->unknown++;
    if (strcmp(section, "security") != 0) {
        reading->warn(text);
        return 1;
    }
    kvpbus_fail(reading->failure, KVPBUS_CONFIG, "%s", text);
    return 0;
}

// Rooms that one VM may have of its own.
static uint64_t *quota_field(struct kvpbus_quota *quota, const char *name)
{
    if (strcmp(name, "outbox_max") == 0)
        return &quota->outbox_max;
    if (strcmp(name, "inbox_max") == 0)
        return &quota->inbox_max;
    return strcmp(name, "bulk_max") == 0 ? &quota->bulk_max : NULL;
}

static struct kvpbus_quota *quota_of(struct kvpbus_service_arguments *arguments, const char *vm)
{
    for (size_t i = 0; i < arguments->quota_count; i++)
        if (strcmp(arguments->quotas[i].peer, vm) == 0)
            return &arguments->quotas[i];
    if (arguments->quota_count == KVPBUS_CONFIG_QUOTAS_MAX)
        return NULL;
    struct kvpbus_quota *quota = &arguments->quotas[arguments->quota_count++];
    strcpy(quota->peer, vm);
    return quota;
}

static int on_quota(struct reading *reading, const char *section, const char *name,
                    const char *value)
{
    struct kvpbus_quota none;
    const char *vm = section + strlen(VM_SECTION);
    uint64_t number;
    size_t i = 0;
    if (quota_field(&none, name) == NULL)
        return unknown(reading, section, name);
    // The parser cuts a longer one.
    struct kvpbus_quota *quota =
        strlen(section) < SECTION_MAX ? quota_of(reading->arguments, vm) : NULL;
    if (quota == NULL) {
        kvpbus_fail(reading->failure, KVPBUS_CONFIG,
                    strlen(section) < SECTION_MAX ? "%s: more than 64 VMs have a section"
                                                  : "%s: the name in a section [vm NAME] is too "
                                                    "long; use the VM's GUID",
                    reading->path);
        return 0;
    }
    while (strcmp(known[i].name, name) != 0)
        i++;
    if (kvpbus_parse_size(value, &number) && number >= known[i].min && number <= known[i].max) {
        *quota_field(quota, name) = number;
        return 1;
    }
    kvpbus_fail(reading->failure, KVPBUS_CONFIG, "%s: '%.64s' is not a value for %s of VM %s: %s",
                reading->path, value, name, vm, known[i].values);
    return 0;
}

static int on_option(void *context, const char *section, const char *name, const char *value)
{
    struct reading *reading = context;
    if (reading->failure->code != KVPBUS_OK)
        return 0;
    if (strncmp(section, VM_SECTION, strlen(VM_SECTION)) == 0)
        return on_quota(reading, section, name, value);
    for (size_t i = 0; i < KNOWN; i++) {
        if (strcmp(section, section_of(i)) != 0 || strcmp(name, known[i].name) != 0)
            continue;
        if (set(i, (char *)reading->arguments + known[i].offset, value))
            return 1;
        kvpbus_fail(reading->failure, KVPBUS_CONFIG, "%s: '%.64s' is not a value for %s: %s",
                    reading->path, value, name, known[i].values);
        return 0;
    }
    return unknown(reading, section, name);
}

enum kvpbus_error kvpbus_config_read_stream(FILE *file, const char *path,
                                            struct kvpbus_service_arguments *arguments,
                                            kvpbus_config_warn_fn *warn, size_t *unknown_count,
                                            struct kvpbus_failure *failure)
{
    struct reading reading = {
        .path = path, .arguments = arguments, .warn = warn, .failure = failure};
    failure->code = KVPBUS_OK;
    bool too_long;
    int line = kvpbus_ini_read(file, on_option, &reading, &too_long);
    *unknown_count = reading.unknown;
    if (ferror(file) != 0)
        return kvpbus_fail(failure, KVPBUS_CONFIG, "cannot read %s; is it a file?", path);
    if (too_long && failure->code == KVPBUS_OK)
        return kvpbus_fail(failure, KVPBUS_CONFIG,
                           "%s, line %d is longer than %d bytes, which only a comment may be", path,
                           line, KVPBUS_INI_LINE_MAX);
    if (line != 0 && failure->code == KVPBUS_OK)
        return kvpbus_fail(failure, KVPBUS_CONFIG, "%s, line %d is not 'name = value'", path, line);
    return failure->code;
}

enum kvpbus_error kvpbus_config_read(const char *path, struct kvpbus_service_arguments *arguments,
                                     kvpbus_config_warn_fn *warn, size_t *unknown_count,
                                     struct kvpbus_failure *failure)
{
    FILE *file = kvpbus_file_stream(path, "r");
    *unknown_count = 0;
    if (file == NULL)
        return kvpbus_fail(failure, KVPBUS_CONFIG, "cannot read %s: %s", path,
                           kvpbus_system_text(kvpbus_system_code()));
    enum kvpbus_error error =
        kvpbus_config_read_stream(file, path, arguments, warn, unknown_count, failure);
    fclose(file);
    return error;
}

void kvpbus_config_print(FILE *out)
{
    fputs("# Configuration of kvpbus-host and kvpbus-guest" KVPBUS_WORD_CONFIG_MORE ".\n"
          "# Nothing here is needed: each line shows what holds without it. Sizes are bytes, or\n"
          "# end with k, M or G; durations end with ms, s, m, h or d.\n",
          out);
    for (size_t i = 0; i < KNOWN; i++) {
        if (i == 0 || section_of(i) != section_of(i - 1))
            fprintf(out, "%s[%s]\n", i > 0 ? "\n" : "", section_of(i));
        fprintf(out, "\n# %s\n# Values: %s. Takes effect %s.\n# %s =%s%s\n", known[i].says,
                known[i].values, known[i].at_once ? KVPBUS_WORD_RELOAD : "at the next start",
                known[i].name, known[i].fallback[0] != '\0' ? " " : "", known[i].fallback);
    }
    fputs(
        "\n# A VM may have an outbox_max, inbox_max and bulk_max of its own, in a section with its "
        "name\n# or GUID. Takes effect at the next start.\n# [vm web]\n# outbox_max = 1G\n",
        out);
}

size_t kvpbus_config_changes(const struct kvpbus_service_arguments *now,
                             const struct kvpbus_service_arguments *fresh,
                             struct kvpbus_config_change *changes)
{
    static const size_t sizes[] = {
        [KIND_SIZE] = sizeof(uint64_t),
        [KIND_MS] = sizeof(uint32_t),
        [KIND_COUNT] = sizeof(uint32_t),
        [KIND_LOG] = sizeof(enum kvpbus_log_level),
        [KIND_FORMAT] = sizeof(enum kvpbus_log_format),
    };
    size_t count = 0;
    for (size_t i = 0; i < KNOWN; i++) {
        const char *before = (const char *)now + known[i].offset;
        const char *after = (const char *)fresh + known[i].offset;
        bool same = known[i].size != 0 ? strcmp(before, after) == 0
                                       : memcmp(before, after, sizes[known[i].kind]) == 0;
        if (same)
            continue;
        changes[count].name = known[i].name;
        changes[count++].at_once = known[i].at_once;
    }
    if (memcmp(now->quotas, fresh->quotas, sizeof now->quotas) != 0)
        changes[count++] = (struct kvpbus_config_change){"the room of a single VM", false};
    return count;
}

static_assert((int)KNOWN < (int)KVPBUS_CONFIG_OPTIONS_MAX, "all changes fit");

void kvpbus_config_each(void (*visit)(const char *name, const char *values, const char *says))
{
    for (size_t i = 0; i < KNOWN; i++)
        visit(known[i].name, known[i].values, known[i].says);
}
