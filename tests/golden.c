// SPDX-License-Identifier: Apache-2.0
#include "golden.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 4096 };

static FILE *golden_open(const char *name, const char *mode)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/golden/%s", KVPBUS_TEST_DATA, name);
    FILE *file = fopen(path, mode);
    cr_assert_not_null(file, "%s", path);
    return file;
}

size_t golden_read(const char *name, uint8_t *bytes, size_t room)
{
    FILE *file = golden_open(name, "rb");
    size_t length = fread(bytes, 1, room, file);
    cr_assert_eq(fgetc(file), EOF, "%s is longer than %zu bytes", name, room);
    fclose(file);
    return length;
}

void golden_compare(const char *name, const void *bytes, size_t length)
{
    cr_assert_leq(length, LONGEST);
    const char *rewrite = getenv("KVPBUS_REWRITE_GOLDEN");
    if (rewrite != NULL && strcmp(rewrite, "1") == 0) {
        FILE *file = golden_open(name, "wb");
        cr_assert_eq(fwrite(bytes, 1, length, file), length);
        cr_assert_eq(fclose(file), 0);
    }
    uint8_t expected[LONGEST];
    size_t expected_length = golden_read(name, expected, sizeof expected);
    cr_assert_eq(length, expected_length, "%s: %zu bytes, not %zu", name, length, expected_length);
    for (size_t i = 0; i < length; i++)
        cr_assert_eq(((const uint8_t *)bytes)[i], expected[i], "%s differs at byte %zu", name, i);
}
