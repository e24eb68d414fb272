// SPDX-License-Identifier: Apache-2.0
#include <criterion/criterion.h>
#include <string.h>

#include "credentials.h"

static struct kvpbus_credentials credentials;
static struct kvpbus_failure failure;

static enum kvpbus_error parse(const char *text)
{
    memset(&credentials, 'x', sizeof credentials);
    failure = (struct kvpbus_failure){0};
    enum kvpbus_error error = kvpbus_credentials_parse("file", text, &credentials, &failure);
    cr_assert_eq(failure.code, error);
    return error;
}

Test(credentials, two_lines_of_any_system)
{
    static const char *const texts[] = {
        "CORP\\op\np ss",
        "CORP\\op\np ss\n",
        "CORP\\op\r\np ss\r\n",
        "CORP\\op\r\np ss\r\n\r\n",
        "\357\273\277CORP\\op\r\np ss",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        cr_assert_eq(parse(texts[i]), KVPBUS_OK, "%zu: %s", i, failure.detail);
        cr_assert_str_eq(credentials.user, "CORP\\op");
        cr_assert_str_eq(credentials.password, "p ss");
    }
}

Test(credentials, what_is_wrong_is_said_without_showing_it)
{
    static const char *const texts[] = {
        "", "\n", "op", "op\n", "\nsecret", "op\n\nsecret", "op\nsecret\nmore",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        cr_assert_eq(parse(texts[i]), KVPBUS_CONFIG, "%zu", i);
        cr_assert_null(strstr(failure.detail, "secret"));
        cr_assert_not_null(strstr(failure.detail, "file"));
    }
}

Test(credentials, lines_are_bounded)
{
    char text[2 * KVPBUS_CREDENTIAL_MAX + 3];
    memset(text, 'a', sizeof text);
    text[KVPBUS_CREDENTIAL_MAX] = '\n';
    text[sizeof text - 2] = text[sizeof text - 1] = '\0';
    cr_assert_eq(parse(text), KVPBUS_OK);
    cr_assert_eq(strlen(credentials.user), KVPBUS_CREDENTIAL_MAX);
    cr_assert_eq(strlen(credentials.password), KVPBUS_CREDENTIAL_MAX);
    text[sizeof text - 2] = 'a';
    cr_assert_eq(parse(text), KVPBUS_CONFIG);
    text[KVPBUS_CREDENTIAL_MAX] = 'a';
    cr_assert_eq(parse(text), KVPBUS_CONFIG);
}
