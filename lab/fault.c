// SPDX-License-Identifier: Apache-2.0
#include "fault.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *word;
    enum kvpbus_lab_fault_value takes;
    int64_t least, most;
} kinds[KVPBUS_LAB_FAULT_COUNT] = {
#define X(name, word, value, least, most, text) {word, KVPBUS_LAB_VALUE_##value, least, most},
    KVPBUS_LAB_FAULT_MAP(X)
#undef X
};

static const char help[] =
#define VALUE_NONE ""
#define VALUE_NEEDED " N"
#define X(name, word, value, least, most, text) "  " word VALUE_##value ": " text "\n"
    KVPBUS_LAB_FAULT_MAP(X);
#undef X
#undef VALUE_NONE
#undef VALUE_NEEDED

static const char words[] =
#define X(name, word, value, least, most, text) " " word
    KVPBUS_LAB_FAULT_MAP(X);
#undef X

const char *kvpbus_lab_fault_help(void)
{
    return help;
}

enum kvpbus_error kvpbus_lab_fault_parse(const char *word, bool has_value, int64_t value,
                                         enum kvpbus_lab_fault *fault,
                                         struct kvpbus_failure *failure)
{
    for (size_t i = 0; i < KVPBUS_LAB_FAULT_COUNT; i++) {
        if (strcmp(word, kinds[i].word) != 0)
            continue;
        bool needed = kinds[i].takes == KVPBUS_LAB_VALUE_NEEDED;
        if (needed && (!has_value || value < kinds[i].least || value > kinds[i].most))
            return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                               "%s needs a number from %" PRId64 " to %" PRId64, word,
                               kinds[i].least, kinds[i].most);
        if (!needed && has_value)
            return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "%s takes no number", word);
        *fault = (enum kvpbus_lab_fault)i;
        return KVPBUS_OK;
    }
    return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "no fault %.40s; there are:%s", word,
                       words);
}

void kvpbus_lab_fault_set(struct kvpbus_lab_faults *faults, enum kvpbus_lab_fault fault,
                          int64_t value, uint32_t count)
{
    faults->of[fault].active = true;
    faults->of[fault].value = value;
    faults->of[fault].counted = count > 0;
    faults->of[fault].remaining = count;
}

void kvpbus_lab_fault_clear(struct kvpbus_lab_faults *faults)
{
    memset(faults, 0, sizeof *faults);
}

bool kvpbus_lab_fault_active(const struct kvpbus_lab_faults *faults, enum kvpbus_lab_fault fault)
{
    return faults->of[fault].active;
}

bool kvpbus_lab_fault_strikes(struct kvpbus_lab_faults *faults, enum kvpbus_lab_fault fault,
                              int64_t *value)
{
    if (!faults->of[fault].active)
        return false;
    if (value != NULL)
        *value = faults->of[fault].value;
    if (faults->of[fault].counted && --faults->of[fault].remaining == 0)
        faults->of[fault].active = false;
    return true;
}

void kvpbus_lab_fault_describe(const struct kvpbus_lab_faults *faults, enum kvpbus_lab_fault fault,
                               char *text, size_t size)
{
    char value[24] = "", times[24] = "";
    text[0] = '\0';
    if (!faults->of[fault].active)
        return;
    if (kinds[fault].takes == KVPBUS_LAB_VALUE_NEEDED)
        snprintf(value, sizeof value, " %" PRId64, faults->of[fault].value);
    if (faults->of[fault].counted)
        snprintf(times, sizeof times, ", %" PRIu32 " times", faults->of[fault].remaining);
    snprintf(text, size, "%s%s%s", kinds[fault].word, value, times);
}
