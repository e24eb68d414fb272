// SPDX-License-Identifier: Apache-2.0
#include <criterion/criterion.h>
#include <string.h>

#include "kvpbus/error.h"
#include "kvpbus/identity.h"

Test(error, every_error_has_its_own_name_and_a_text)
{
    static const enum kvpbus_error all[] = {
#define X(name, number, text) KVPBUS_##name,
        KVPBUS_ERROR_MAP(X)
#undef X
    };
    size_t count = sizeof all / sizeof *all;
    for (size_t i = 0; i < count; i++) {
        cr_assert_str_neq(kvpbus_error_name(all[i]), "UNLISTED");
        cr_assert_gt(strlen(kvpbus_error_text(all[i])), 5);
        for (size_t j = 0; j < i; j++)
            cr_assert_neq(all[i], all[j], "%s", kvpbus_error_name(all[i]));
    }
    cr_assert_str_eq(kvpbus_error_name((enum kvpbus_error)9999), "UNLISTED");
}

Test(error, context_is_put_before_the_detail)
{
    struct kvpbus_failure failure = {0};
    cr_assert_eq(kvpbus_fail(&failure, KVPBUS_STORE_FULL, "slot %d", 7), KVPBUS_STORE_FULL);
    kvpbus_failure_wrap(&failure, "VM %s", "web-1");
    cr_assert_str_eq(failure.detail, "VM web-1: slot 7");
    cr_assert_eq(failure.code, KVPBUS_STORE_FULL);
    cr_assert_eq(kvpbus_fail(NULL, KVPBUS_IO, "nobody listens"), KVPBUS_IO);
}

Test(fingerprint, matches_itself_in_any_dress_and_nothing_else)
{
    uint8_t key[32] = {1, 2, 3};
    char text[KVPBUS_FINGERPRINT_TEXT];
    kvpbus_fingerprint(key, text);
    cr_assert_eq(strlen(text), 39);
    cr_assert(kvpbus_fingerprint_matches(key, text));
    text[0] = text[0] == '0' ? '1' : '0';
    cr_assert_not(kvpbus_fingerprint_matches(key, text));
    cr_assert_not(kvpbus_fingerprint_matches(key, ""));
    kvpbus_fingerprint(key, text);
    text[38] = '\0';
    cr_assert_not(kvpbus_fingerprint_matches(key, text), "one digit short");
}
