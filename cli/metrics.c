// SPDX-License-Identifier: Apache-2.0
#include "metrics.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "kvpbus/management.h"
#include "version.h"

enum figure {
    LINK_UP,
    PAIRED,
    QUEUED,
    QUEUED_BYTES,
    INBOX,
    INBOX_BYTES,
    DEAD_LETTERS,
    RECEIVED,
    DELIVERED,
    EXPIRED,
    DEAD,
    UNKNOWN,
    IN_FLIGHT,
    RING_LIMIT,
    RING_SLOTS,
    ROUND_TRIP,
    WRITES,
    ITEMS_WRITTEN,
    DATA_ITEMS,
    DATA_CHARACTERS,
    REWRITES,
    BAD_ITEMS,
    FIGURES,
};

// One name's rows stand together; `label` is a further label of the row.
static const struct {
    const char *name, *type, *label, *help;
} figures[FIGURES] = {
    [LINK_UP] = {"kvpbus_link_up", "gauge", "", "1 while the link carries messages."},
    [PAIRED] = {"kvpbus_paired", "gauge", "", "1 when an identity of the peer is pinned."},
    [QUEUED] = {"kvpbus_queued_messages", "gauge", "", "Messages to the peer without an outcome."},
    [QUEUED_BYTES] = {"kvpbus_queued_bytes", "gauge", "", "Their size."},
    [INBOX] = {"kvpbus_inbox_messages", "gauge", "",
               "Messages of the peer that no consumer has acknowledged."},
    [INBOX_BYTES] = {"kvpbus_inbox_bytes", "gauge", "", "Their size."},
    [DEAD_LETTERS] = {"kvpbus_dead_letters", "gauge", "",
                      "Messages of the peer that consumers failed with."},
    [RECEIVED] = {"kvpbus_received_messages_total", "counter", "",
                  "Messages of the peer ever committed in the journal."},
    [DELIVERED] = {"kvpbus_history_messages", "gauge", "outcome=\"delivered\"",
                   "Messages to the peer whose outcome is still remembered."},
    [EXPIRED] = {"kvpbus_history_messages", "gauge", "outcome=\"expired\"", ""},
    [DEAD] = {"kvpbus_history_messages", "gauge", "outcome=\"dead\"", ""},
    [UNKNOWN] = {"kvpbus_history_messages", "gauge", "outcome=\"unknown\"", ""},
    [IN_FLIGHT] = {"kvpbus_packets_in_flight", "gauge", "",
                   "Packets that wait for acknowledgement."},
    [RING_LIMIT] = {"kvpbus_ring_limit_slots", "gauge", "",
                    "Data items that the store is trusted with at present."},
    [RING_SLOTS] = {"kvpbus_ring_slots", "gauge", "", "Data items in the store at most."},
    [ROUND_TRIP] = {"kvpbus_round_trip_seconds", "gauge", "",
                    "From a packet's write to its acknowledgement, smoothed; 0 not known."},
    [WRITES] = {"kvpbus_store_writes_total", "counter", "", "Writes into the own store."},
    [ITEMS_WRITTEN] = {"kvpbus_items_written_total", "counter", "", "Items in these writes."},
    [DATA_ITEMS] = {"kvpbus_data_items_written_total", "counter", "",
                    "Those of them that carried messages."},
    [DATA_CHARACTERS] = {"kvpbus_data_characters_written_total", "counter", "",
                         "Characters of the values of these."},
    [REWRITES] = {"kvpbus_items_rewritten_total", "counter", "",
                  "Items that were written again because no acknowledgement came."},
    [BAD_ITEMS] = {"kvpbus_items_disbelieved_total", "counter", "",
                   "Values in the peer's store that were not believed."},
};

struct vm {
    char name[2 * KVPBUS_PEER_NAME_MAX + 1]; // escaped
    char guid[KVPBUS_GUID_TEXT + 1];
    const char *state;
    uint64_t values[FIGURES];
};

struct gathering {
    struct kvpbus_service *service;
    size_t count, waiting;
    struct vm *vms;
    struct counting {
        struct gathering *gathering;
        struct vm *vm;
    } * countings;
    kvpbus_metrics_fn *callback;
    void *context;
};

// A label's value: control characters do not belong into a name, a quote and a backslash do.
static void escape(const char *text, char *out)
{
    for (; *text != '\0'; text++) {
        unsigned char character = (unsigned char)*text;
        if (character == '"' || character == '\\')
            *out++ = '\\';
        *out++ = *text;
        if (character < 0x20 || character == 0x7f)
            out[-1] = '?';
    }
    *out = '\0';
}

static void take_link(struct vm *vm, const struct kvpbus_endpoint *endpoint)
{
    const struct kvpbus_peer *peer = kvpbus_endpoint_peer(endpoint);
    struct kvpbus_link_status status;
    kvpbus_endpoint_status(endpoint, &status);
    escape(peer->name, vm->name);
    kvpbus_guid_format(peer->vm, vm->guid);
    vm->state = kvpbus_link_state_name(status.state);
    vm->values[LINK_UP] = status.state == KVPBUS_LINK_LIVE;
    vm->values[PAIRED] = peer->paired;
    vm->values[IN_FLIGHT] = status.in_flight;
    vm->values[RING_LIMIT] = status.ring_limit;
    vm->values[RING_SLOTS] = status.ring_slots;
    vm->values[ROUND_TRIP] = status.round_trip_ms;
    vm->values[WRITES] = status.writes;
    vm->values[ITEMS_WRITTEN] = status.items_written;
    vm->values[DATA_ITEMS] = status.data_items_written;
    vm->values[DATA_CHARACTERS] = status.data_chars_written;
    vm->values[REWRITES] = status.rewrites;
    vm->values[BAD_ITEMS] = status.bad_items;
}

static void take_counts(struct vm *vm, const struct kvpbus_journal_counts *counts)
{
    vm->values[QUEUED] = counts->queued;
    vm->values[QUEUED_BYTES] = counts->queued_bytes;
    vm->values[INBOX] = counts->inbox;
    vm->values[INBOX_BYTES] = counts->inbox_bytes;
    vm->values[DEAD_LETTERS] = counts->dead_letters;
    vm->values[RECEIVED] = counts->received;
    vm->values[DELIVERED] = counts->delivered;
    vm->values[EXPIRED] = counts->expired;
    vm->values[DEAD] = counts->dead;
    vm->values[UNKNOWN] = counts->unknown;
}

// --- text ---

// --- text ---

struct text {
    char *text; // with a NUL
    size_t length, size;
};

static void KVPBUS_PRINTF(2, 3) add(struct text *text, const char *format, ...)
{
    char line[1024]; // longer than any is
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    assert(length >= 0 && (size_t)length < sizeof line);
    if (text->length + (size_t)length >= text->size) {
        text->size = 2 * text->size + sizeof line;
        text->text = realloc(text->text, text->size);
        if (text->text == NULL)
            abort();
    }
    memcpy(text->text + text->length, line, (size_t)length + 1);
    text->length += (size_t)length;
}

static void print_head(struct text *out, const char *name, const char *type, const char *help)
{
    add(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static uint64_t journal_bytes(const struct kvpbus_service *service)
{
    static const char *const files[] = {"journal", "journal-wal"};
    uint64_t bytes = 0;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[KVPBUS_PATH_MAX + 16];
        uint64_t size;
        snprintf(path, sizeof path, "%s/%s", service->state.path, files[i]);
        if (kvpbus_file_size(path, &size))
            bytes += size;
    }
    return bytes;
}

static void print_service(struct text *out, const struct gathering *gathering)
{
    const struct kvpbus_service *service = gathering->service;
    uv_rusage_t usage = {0};
    size_t memory = 0;
    uv_getrusage(&usage);
    uv_resident_set_memory(&memory);
    print_head(out, "kvpbus_build_info", "gauge", "1; the version and the side of this service.");
    add(out, "kvpbus_build_info{version=\"%s\",role=\"%s\"} 1\n", KVPBUS_VERSION,
        service->options.role == KVPBUS_ROLE_HOST ? "host" : "guest");
    print_head(out, "kvpbus_peers", "gauge", "Peers that are known, paired or not.");
    add(out, "kvpbus_peers %zu\n", gathering->count);
    print_head(out, "kvpbus_journal_bytes", "gauge", "Size of the journal's files.");
    add(out, "kvpbus_journal_bytes %llu\n", (unsigned long long)journal_bytes(service));
    print_head(out, "process_start_time_seconds", "gauge", "When the service began, since 1970.");
    add(out, "process_start_time_seconds %lld\n", (long long)service->began_ms / 1000);
    print_head(out, "process_cpu_seconds_total", "counter", "Processor time of the service.");
    add(out, "process_cpu_seconds_total %lld.%06lld\n",
        (long long)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
                    (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000000),
        (long long)((usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) % 1000000));
    print_head(out, "process_resident_memory_bytes", "gauge", "Memory of the service.");
    add(out, "process_resident_memory_bytes %zu\n", memory);
}

static void print_figure(struct text *out, const struct gathering *gathering, enum figure figure)
{
    const char *name = figures[figure].name, *label = figures[figure].label;
    if (figures[figure].help[0] != '\0')
        print_head(out, name, figures[figure].type, figures[figure].help);
    for (size_t i = 0; i < gathering->count; i++) {
        const struct vm *vm = &gathering->vms[i];
        unsigned long long value = vm->values[figure];
        add(out, "%s{vm=\"%s\",guid=\"%s\"%s%s} ", name, vm->name, vm->guid,
            label[0] != '\0' ? "," : "", label);
        if (figure == ROUND_TRIP)
            add(out, "%llu.%03llu\n", value / 1000, value % 1000);
        else
            add(out, "%llu\n", value);
    }
}

static void print_states(struct text *out, const struct gathering *gathering)
{
    print_head(out, "kvpbus_link_state", "gauge", "1 for the state that the link is in.");
    for (size_t i = 0; i < gathering->count; i++)
        add(out, "kvpbus_link_state{vm=\"%s\",guid=\"%s\",state=\"%s\"} 1\n",
            gathering->vms[i].name, gathering->vms[i].guid, gathering->vms[i].state);
}

// --- gathering ---

static void finish(struct gathering *gathering)
{
    struct text text = {0}, *out = &text;
    print_service(out, gathering);
    if (gathering->count > 0)
        print_states(out, gathering);
    for (int i = 0; gathering->count > 0 && i < FIGURES; i++)
        print_figure(out, gathering, (enum figure)i);
    gathering->callback(gathering->context, text.text, text.length);
    free(gathering->vms);
    free(gathering->countings);
    free(gathering);
}

static void on_counts(void *context, const struct kvpbus_journal_counts *counts,
                      const struct kvpbus_failure *failure)
{
    struct counting *counting = context;
    struct gathering *gathering = counting->gathering;
    (void)failure;
    if (counts != NULL)
        take_counts(counting->vm, counts);
    if (--gathering->waiting == 0)
        finish(gathering);
}

void kvpbus_metrics_gather(struct kvpbus_service *service, kvpbus_metrics_fn *callback,
                           void *context)
{
    size_t count = service->endpoint_count;
    struct gathering *gathering = calloc(1, sizeof *gathering);
    if (gathering == NULL)
        abort();
    gathering->service = service;
    gathering->callback = callback;
    gathering->context = context;
    gathering->count = gathering->waiting = count;
    gathering->vms = calloc(count + 1, sizeof *gathering->vms);
    gathering->countings = calloc(count + 1, sizeof *gathering->countings);
    if (gathering->vms == NULL || gathering->countings == NULL)
        abort();
    for (size_t i = 0; i < count; i++) {
        struct counting *counting = &gathering->countings[i];
        *counting = (struct counting){gathering, &gathering->vms[i]};
        take_link(counting->vm, service->endpoints[i]);
        kvpbus_bus_counts(service->endpoints[i], on_counts, counting);
    }
    if (count == 0)
        finish(gathering);
}
