// SPDX-License-Identifier: Apache-2.0
//
// A program outside, built with the installed library: one item through two stores in memory.
#include <kvpbus/bus.h>
#include <kvpbus/error.h>
#include <kvpbus/identity.h>
#include <kvpbus/journal.h>
#include <kvpbus/management.h>
#include <kvpbus/message.h>
#include <kvpbus/store.h>
#include <stdio.h>

int main(void)
{
    struct kvpbus_store *host = NULL, *guest = NULL;
    struct kvpbus_failure failure = {KVPBUS_OK, 0, ""};
    struct kvpbus_scan scan = {0};
    struct kvpbus_change change = {"kb.hello", "world"};
    enum kvpbus_error result, error = kvpbus_memory_store_pair("kb", &host, &guest);
    if (error == KVPBUS_OK)
        error = host->ops->write(host, &change, 1, &result, &failure);
    if (error == KVPBUS_OK)
        error = guest->ops->read_peer(guest, &scan, &failure);
    printf("%s, %zu item\n", kvpbus_error_name(error), scan.count);
    int status = error == KVPBUS_OK && scan.count == 1 ? 0 : 1;
    kvpbus_scan_free(&scan);
    kvpbus_store_close(host);
    kvpbus_store_close(guest);
    return status;
}
