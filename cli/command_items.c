// SPDX-License-Identifier: Apache-2.0
//
// items: what stands in both stores, for people who debug.
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "item.h"

enum { ANSWER_WITHIN = 30000 }; // ms

struct decoded {
    const char *what; // "hello", "state", "data", "not an item"
    char session[2 * KVPBUS_SESSION_TAG_BYTES + 1];
    uint64_t number;
    uint32_t attempt;
    size_t bytes;
};

static struct decoded decode(const char *value)
{
    struct decoded item = {.what = "not an item"};
    uint8_t bytes[KVPBUS_ITEM_MAX];
    enum kvpbus_item_type type;
    struct kvpbus_item_head head;
    if (strlen(value) > KVPBUS_VALUE_MAX ||
        kvpbus_item_decode(value, bytes, &item.bytes) != KVPBUS_OK ||
        kvpbus_item_type(bytes, item.bytes, &type) != KVPBUS_OK)
        return item;
    if (type == KVPBUS_ITEM_HELLO) {
        item.what = "hello";
    } else if (kvpbus_item_head_read(bytes, item.bytes, &head) == KVPBUS_OK) {
        item.what = type == KVPBUS_ITEM_STATE ? "state" : "data";
        item.number = head.number;
        item.attempt = head.attempt;
        sodium_bin2hex(item.session, sizeof item.session, head.session_tag,
                       sizeof head.session_tag);
    }
    return item;
}

static void print(const Kvpbus__Control__Items *items, bool first)
{
    if (first)
        printf("%-5s %-14s %-11s %-8s %8s %7s %6s %6s\n", "STORE", "KEY", "WHAT", "SESSION",
               "NUMBER", "ATTEMPT", "CHARS", "BYTES");
    for (size_t i = 0; i < items->n_items; i++) {
        const Kvpbus__Control__Item *item = items->items[i];
        struct decoded decoded = decode(item->value);
        printf("%-5s %-14s %-11s %-8s %8llu %7u %6zu %6zu\n", item->store, item->key, decoded.what,
               decoded.session, (unsigned long long)decoded.number, decoded.attempt,
               strlen(item->value), decoded.bytes);
    }
}

static void add_json(json_t *list, const Kvpbus__Control__Items *items)
{
    for (size_t i = 0; i < items->n_items; i++) {
        const Kvpbus__Control__Item *item = items->items[i];
        struct decoded decoded = decode(item->value);
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:s, s:I, s:i, s:i, s:i}", "store", item->store, "key",
                            item->key, "what", decoded.what, "session", decoded.session, "number",
                            (json_int_t)decoded.number, "attempt", (int)decoded.attempt,
                            "characters", (int)strlen(item->value), "bytes", (int)decoded.bytes));
    }
}

// `list` NULL: printed as they come.
static enum kvpbus_error take(struct kvpbus_client *client, json_t *list,
                              struct kvpbus_failure *failure)
{
    bool more = true;
    for (bool first = true; more; first = false) {
        Kvpbus__Control__Response *response;
        enum kvpbus_error error = kvpbus_control_read(client, ANSWER_WITHIN, &response, failure);
        if (error != KVPBUS_OK)
            return error;
        bool good = response->kind_case == KVPBUS__CONTROL__RESPONSE__KIND_ITEMS;
        const Kvpbus__Control__Items *items = good ? response->items : NULL;
        more = good && items->more;
        if (good && list != NULL)
            add_json(list, items);
        else if (good)
            print(items, first);
        if (good && items->skipped > 0)
            fprintf(stderr, "kvpbus: %llu more are not shown: too many, or no items of kvpbus\n",
                    (unsigned long long)items->skipped);
        kvpbus__control__response__free_unpacked(response, NULL);
        if (!good)
            return kvpbus_fail(failure, KVPBUS_PROTOCOL, "the answer is not what was asked for");
    }
    return KVPBUS_OK;
}

int kvpbus_command_items(const struct kvpbus_command_context *context, int argc, char **argv)
{
    if (argc != 2)
        return kvpbus_command_usage(context, "name one peer");
    Kvpbus__Control__Request request = KVPBUS__CONTROL__REQUEST__INIT;
    Kvpbus__Control__ItemsRequest items = KVPBUS__CONTROL__ITEMS_REQUEST__INIT;
    struct kvpbus_client *client = NULL;
    struct kvpbus_failure failure = {0};
    json_t *list = NULL;
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_ITEMS;
    request.items = &items;
    items.peer = argv[1];
    enum kvpbus_error error = kvpbus_client_open(context->socket, &client, &failure);
    if (error == KVPBUS_OK)
        error = kvpbus_control_write(client, &request, &failure);
    if (context->json)
        list = json_array();
    if (error == KVPBUS_OK)
        error = take(client, list, &failure);
    if (error == KVPBUS_OK && list != NULL) {
        json_dumpf(list, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(list);
    kvpbus_client_close(client);
    return error == KVPBUS_OK ? KVPBUS_EXIT_OK : kvpbus_command_failed(context, &failure);
}
