// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

enum kind { KIND_TEXT, KIND_PREFIX, KIND_SIZE, KIND_MS, KIND_COUNT, KIND_LOG };

static const struct {
    const char *name;
    enum kind kind;
    size_t offset, size;
    uint64_t min, max;
} known[] = {
#define FIELD(name) offsetof(struct kvpbus_service_arguments, name)
    {"store", KIND_TEXT, FIELD(store), KVPBUS_PATH_MAX, 0, 0},
    {"state", KIND_TEXT, FIELD(state), KVPBUS_PATH_MAX, 0, 0},
    {"socket", KIND_TEXT, FIELD(socket), KVPBUS_PATH_MAX, 0, 0},
    {"prefix", KIND_PREFIX, FIELD(prefix), KVPBUS_PREFIX_MAX + 1, 0, 0},
    {"log", KIND_LOG, FIELD(log), 0, 0, 0},
    {"ring_slots", KIND_COUNT, FIELD(options.ring_slots), 0, 1, 64},
    {"poll_fast", KIND_MS, FIELD(options.poll_fast_ms), 0, 10, 60000},
    {"poll_slow", KIND_MS, FIELD(options.poll_slow_ms), 0, 100, 600000},
    {"body_max", KIND_SIZE, FIELD(options.body_max), 0, 1, UINT64_C(1) << 30},
    {"outbox_max", KIND_SIZE, FIELD(options.outbox_max), 0, 1 << 20, UINT64_C(1) << 40},
    {"inbox_max", KIND_SIZE, FIELD(options.inbox_max), 0, 1 << 20, UINT64_C(1) << 40},
    {"journal_max", KIND_SIZE, FIELD(options.journal_max), 0, 1 << 20, UINT64_C(1) << 44},
#undef FIELD
};

struct reading {
    const char *path;
    struct kvpbus_service_arguments *arguments;
    struct kvpbus_failure *failure;
};

static bool set_log(const char *value, enum kvpbus_log_level *log)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(value, names[i]) == 0) {
            *log = (enum kvpbus_log_level)i;
            return true;
        }
    return false;
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
    case KIND_TEXT:
        return value[0] != '\0' && keep_text(i, field, value);
    case KIND_LOG:
        return set_log(value, field);
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

static int on_option(void *context, const char *section, const char *name, const char *value)
{
    struct reading *reading = context;
    if (reading->failure->code != KVPBUS_OK)
        return 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(section, "kvpbus") != 0 || strcmp(name, known[i].name) != 0)
            continue;
        if (set(i, (char *)reading->arguments + known[i].offset, value))
            return 1;
        kvpbus_fail(reading->failure, KVPBUS_CONFIG,
                    "%s: '%s' is not a value for %s; kvpbus.conf(5) says what is", reading->path,
                    value, name);
        return 0;
    }
    kvpbus_fail(reading->failure, KVPBUS_CONFIG,
                "%s: there is no option %s in section [%s]; kvpbus.conf(5) lists them",
                reading->path, name, section);
    return 0;
}

enum kvpbus_error kvpbus_config_read(const char *path, struct kvpbus_service_arguments *arguments,
                                     struct kvpbus_failure *failure)
{
    struct reading reading = {path, arguments, failure};
    failure->code = KVPBUS_OK;
    errno = 0;
    int line = ini_parse(path, on_option, &reading);
    if (line < 0)
        return kvpbus_fail(failure, KVPBUS_CONFIG, "cannot read %s: %s", path, strerror(errno));
    if (line > 0 && failure->code == KVPBUS_OK)
        return kvpbus_fail(failure, KVPBUS_CONFIG, "%s, line %d is not 'name = value'", path, line);
    return failure->code;
}
