// SPDX-License-Identifier: Apache-2.0
//
// Linked into the tests of the lab's own client, it puts Windows in between: what they open as the
// lab's management service is wmi_server.exe under Wine, whose WMI client asks the stand-in
// provider, which asks the lab. The tests know nothing of it.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "kvpbus/management.h"
#include "wmi_server_fixture.h"

enum { PATIENCE_MS = 5000 };

void __wrap_kvpbus_lab_management_set_deadline(struct kvpbus_management *management, unsigned ms);
void __real_kvpbus_lab_management_set_deadline(struct kvpbus_management *management, unsigned ms);

// What a test leaves must have been begun by then, on a busy machine too: it would be done late.
void __wrap_kvpbus_lab_management_set_deadline(struct kvpbus_management *management, unsigned ms)
{
    __real_kvpbus_lab_management_set_deadline(management, ms < PATIENCE_MS ? PATIENCE_MS : ms);
}

enum kvpbus_error __wrap_kvpbus_lab_management_open(const char *address,
                                                    struct kvpbus_management **management,
                                                    struct kvpbus_failure *failure);
enum kvpbus_error __real_kvpbus_lab_management_open(const char *address,
                                                    struct kvpbus_management **management,
                                                    struct kvpbus_failure *failure);

enum kvpbus_error __wrap_kvpbus_lab_management_open(const char *address,
                                                    struct kvpbus_management **management,
                                                    struct kvpbus_failure *failure)
{
    static struct wmi_server server; // until the test's process ends
    struct wine wine;
    char directory[128];
    char *end;
    snprintf(directory, sizeof directory, "%s", address);
    end = strrchr(directory, '/');
    if (end == NULL)
        return __real_kvpbus_lab_management_open(address, management, failure);
    *end = '\0';
    wmi_server_share(&wine, directory);
    wmi_server_start(&server, &wine, false, NULL);
    cr_assert_eq(server.error, KVPBUS_OK, "%s", server.line);
    return __real_kvpbus_lab_management_open(server.address, management, failure);
}
