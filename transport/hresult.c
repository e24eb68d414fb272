// SPDX-License-Identifier: Apache-2.0
#include "hresult.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

static const struct kvpbus_hresult entries[] = {
#define X(name_, number_, kind_, error_, meaning_, hint_) \
    {.name = #name_,                                      \
     .meaning = (meaning_),                               \
     .hint = (hint_),                                     \
     .number = (number_),                                 \
     .kind = KVPBUS_HRESULT_##kind_,                      \
     .error = KVPBUS_##error_},
    KVPBUS_HRESULT_MAP(X)
#undef X
};

const struct kvpbus_hresult *kvpbus_hresult_find(uint32_t number)
{
    static const struct kvpbus_hresult unlisted = {
        .name = "an unlisted HRESULT",
        .meaning = "the call failed",
        .hint = KVPBUS_HINT_AGAIN,
        .kind = KVPBUS_HRESULT_UNSURE,
        .error = KVPBUS_STORE_GONE,
    };
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        if (entries[i].number == number)
            return &entries[i];
    }
    return &unlisted;
}

enum kvpbus_error kvpbus_hresult_fail(struct kvpbus_failure *failure, uint32_t number,
                                      const char *format, ...)
{
    const struct kvpbus_hresult *entry = kvpbus_hresult_find(number);
    char what[80], rest[sizeof failure->detail];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    // What does not fit is cut from what was done, not from what to do.
    int length = snprintf(rest, sizeof rest, ": %s (0x%08X %s); %s", entry->meaning,
                          (unsigned)number, entry->name, entry->hint);
    kvpbus_fail(failure, entry->error, "%.*s%s", (int)sizeof failure->detail - 1 - length, what,
                rest);
    if (failure != NULL)
        failure->os_code = (int64_t)number;
    return entry->error;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

// Eight digits and no more, with the highest bit: a failure.
static uint32_t number_at(const char *digits)
{
    uint32_t number = 0;
    for (size_t i = 0; i < 8; i++) {
        int digit = digit_of(digits[i]);
        if (digit < 0)
            return 0;
        number = number << 4 | (uint32_t)digit;
    }
    return digit_of(digits[8]) < 0 && number >> 31 == 1 ? number : 0;
}

uint32_t kvpbus_hresult_in_text(const char *text)
{
    uint32_t last = 0;
    for (; text[0] != '\0'; text++) {
        if (text[0] != '0' || (text[1] != 'x' && text[1] != 'X'))
            continue;
        uint32_t number = number_at(text + 2);
        last = number != 0 ? number : last;
    }
    return last;
}
