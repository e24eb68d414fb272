// SPDX-License-Identifier: Apache-2.0
//
// doctor --answer: the guest's side of doctor --vm, beside the agent or without it. It writes items
// of the doctor's prefix alone, few or as many as the host asks for within a bound, and removes
// them.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor_vm.h"
#include "guest_store.h"
#include "program.h"
#include "serve_stop.h"
#include "version.h"

enum {
    LOOK_EVERY = 100, // ms, also without a notice
    STOP_LOOK = 10,   // counts between two looks for the next question
    WORD = 16,
};

struct answerer {
    struct kvpbus_store *store;
    struct kvpbus_scan scan;
    struct kvpbus_failure failure;
    int64_t until;
    uint32_t last; // question that was answered
    unsigned wakes;
};

static bool put(struct answerer *answerer, const char *key, const char *value)
{
    const struct kvpbus_change change = {key, value};
    enum kvpbus_error result;
    return answerer->store->ops->write(answerer->store, &change, 1, &result, &answerer->failure) ==
           KVPBUS_OK;
}

static bool KVPBUS_PRINTF(2, 3) answer(struct answerer *answerer, const char *text, ...)
{
    char said[DOCTOR_ANSWER], value[DOCTOR_ANSWER + 16];
    va_list arguments;
    va_start(arguments, text);
    vsnprintf(said, sizeof said, text, arguments);
    va_end(arguments);
    snprintf(value, sizeof value, "%x %s", (unsigned)answerer->last, said);
    return put(answerer, DOCTOR_KEY_ANSWER, value);
}

// Removes the own items, but for `kept`.
static bool clear(struct answerer *answerer, const char *kept)
{
    struct kvpbus_change changes[KVPBUS_CHANGES_MAX];
    enum kvpbus_error results[KVPBUS_CHANGES_MAX];
    struct kvpbus_store *store = answerer->store;
    for (unsigned tries = 0; tries <= DOCTOR_UNTIL_MAX / KVPBUS_CHANGES_MAX + 1; tries++) {
        size_t count = 0;
        if (store->ops->read_own(store, &answerer->scan, &answerer->failure) != KVPBUS_OK)
            return false;
        for (size_t i = 0; i < answerer->scan.count && count < KVPBUS_CHANGES_MAX; i++)
            if (kept == NULL || strcmp(answerer->scan.items[i].key, kept) != 0)
                changes[count++] = (struct kvpbus_change){answerer->scan.items[i].key, NULL};
        if (count == 0)
            return true;
        if (store->ops->write(store, changes, count, results, &answerer->failure) != KVPBUS_OK)
            return false;
    }
    return true;
}

// --- the questions ---

static bool asked_anew(struct answerer *answerer)
{
    struct kvpbus_store *store = answerer->store;
    if (store->ops->read_peer(store, &answerer->scan, &answerer->failure) != KVPBUS_OK)
        return true; // which is said by the main loop
    const char *question = doctor_value(&answerer->scan, DOCTOR_KEY_QUESTION);
    return question != NULL && strtoul(question, NULL, 16) != answerer->last;
}

static bool count(struct answerer *answerer, unsigned ms)
{
    char value[48];
    int64_t until =
        doctor_now_us() + (int64_t)(ms < DOCTOR_COUNT_LONGEST ? ms : DOCTOR_COUNT_LONGEST) * 1000;
    if (!answer(answerer, "counting"))
        return false;
    for (unsigned n = 1; doctor_now_us() < until && !kvpbus_program_ended(); n++) {
        snprintf(value, sizeof value, "%x %u", (unsigned)answerer->last, n);
        if (!put(answerer, DOCTOR_KEY_COUNTER, value))
            return false;
        if (n % STOP_LOOK == 0 && asked_anew(answerer))
            break;
        kvpbus_program_pause(DOCTOR_COUNT_EVERY);
    }
    return true;
}

static bool order(struct answerer *answerer)
{
    static const char *const names[DOCTOR_ORDER_COUNT] = {DOCTOR_ORDER};
    char key[48];
    for (size_t i = 0; i < DOCTOR_ORDER_COUNT; i++) {
        snprintf(key, sizeof key, DOCTOR_KEY("o") ".%s", names[i]);
        if (!put(answerer, key, "in order"))
            return false;
    }
    return answer(answerer, "written");
}

static bool fill(struct answerer *answerer, unsigned wanted)
{
    static char keys[KVPBUS_CHANGES_MAX][32];
    struct kvpbus_change changes[KVPBUS_CHANGES_MAX];
    enum kvpbus_error results[KVPBUS_CHANGES_MAX];
    struct kvpbus_store *store = answerer->store;
    unsigned most = wanted < DOCTOR_UNTIL_MAX ? wanted : DOCTOR_UNTIL_MAX;
    for (unsigned n = 0; n < most;) {
        size_t size = 0;
        for (; size < KVPBUS_CHANGES_MAX && n < most; size++, n++) {
            snprintf(keys[size], sizeof keys[size], DOCTOR_KEY_FILL "%04u", n);
            changes[size] = (struct kvpbus_change){keys[size], "filling"};
        }
        if (store->ops->write(store, changes, size, results, &answerer->failure) != KVPBUS_OK)
            return answer(answerer, "0 %s", kvpbus_error_name(answerer->failure.code));
    }
    return answer(answerer, "%u", most);
}

static bool copy(struct answerer *answerer)
{
    const char *text = doctor_value(&answerer->scan, DOCTOR_KEY_TEXT);
    if (text == NULL)
        return answer(answerer, "none");
    return put(answerer, DOCTOR_KEY_TEXT, text) && answer(answerer, "copied");
}

static bool wakes(struct answerer *answerer)
{
    if (answerer->store->ops->notice_fd(answerer->store) == KVPBUS_NO_NOTICE)
        return answer(answerer, "none");
    return answer(answerer, "%u", answerer->wakes);
}

static bool hello(struct answerer *answerer)
{
    char system[DOCTOR_SYSTEM_TEXT];
    doctor_system(system);
    return answer(answerer, "kvpbus %s, %s", KVPBUS_VERSION, system);
}

// The scan holds what the host has written. One that is not understood, of another version say, is
// answered too.
static bool reply(struct answerer *answerer)
{
    const char *question = doctor_value(&answerer->scan, DOCTOR_KEY_QUESTION);
    char word[WORD] = "";
    unsigned number, argument = 0;
    if (question == NULL || sscanf(question, "%x %15s %u", &number, word, &argument) < 2 ||
        number == answerer->last)
        return true;
    answerer->last = number;
    if (strcmp(word, DOCTOR_ASK_HELLO) == 0)
        return hello(answerer);
    if (strcmp(word, DOCTOR_ASK_COUNT) == 0)
        return count(answerer, argument);
    if (strcmp(word, DOCTOR_ASK_STOP) == 0)
        return clear(answerer, DOCTOR_KEY_ANSWER) && answer(answerer, "removed");
    if (strcmp(word, DOCTOR_ASK_WAKES) == 0)
        return wakes(answerer);
    if (strcmp(word, DOCTOR_ASK_ORDER) == 0)
        return order(answerer);
    if (strcmp(word, DOCTOR_ASK_FILL) == 0)
        return fill(answerer, argument);
    if (strcmp(word, DOCTOR_ASK_COPY) == 0)
        return copy(answerer);
    return answer(answerer, "not understood");
}

// --- the command ---

// A question that stands there already is one that an earlier run has left, but for the first one.
static bool pass_over(struct answerer *answerer)
{
    struct kvpbus_store *store = answerer->store;
    if (store->ops->read_peer(store, &answerer->scan, &answerer->failure) != KVPBUS_OK)
        return false;
    const char *question = doctor_value(&answerer->scan, DOCTOR_KEY_QUESTION);
    if (question != NULL && strstr(question, " " DOCTOR_ASK_HELLO " ") == NULL)
        answerer->last = (uint32_t)strtoul(question, NULL, 16);
    return true;
}

// As long as the user and the time let it.
static bool serve(struct answerer *answerer)
{
    struct kvpbus_store *store = answerer->store;
    kvpbus_notice notice = store->ops->notice_fd(store);
    while (!kvpbus_program_ended() && doctor_now_us() < answerer->until) {
        if (notice == KVPBUS_NO_NOTICE) {
            kvpbus_program_pause(LOOK_EVERY);
        } else if (serve_is_set(notice, KVPBUS_NO_NOTICE, LOOK_EVERY)) {
            answerer->wakes++;
            store->ops->acknowledge_notice(store);
        }
        enum kvpbus_error error = store->ops->read_peer(store, &answerer->scan, &answerer->failure);
        if (error == KVPBUS_STORE_BUSY)
            continue;
        if (error != KVPBUS_OK || !reply(answerer))
            return false;
    }
    return true;
}

int doctor_answer(const struct kvpbus_command_context *context, const char *store,
                  uint64_t within_ms)
{
    struct answerer answerer = {0};
    enum kvpbus_error error =
        kvpbus_guest_store_open(store, DOCTOR_PREFIX, &answerer.store, &answerer.failure);
    if (error != KVPBUS_OK)
        return kvpbus_command_failed(context, &answerer.failure);
    kvpbus_program_end_gently();
    answerer.until = doctor_now_us() + (int64_t)within_ms * 1000;
    bool well = clear(&answerer, NULL) && pass_over(&answerer);
    if (well) {
        fprintf(stderr, "answering 'kvpbus doctor --vm' of the host; Ctrl-C ends it\n");
        well = serve(&answerer);
    }
    struct kvpbus_failure why = answerer.failure;
    bool removed = clear(&answerer, NULL);
    if (!removed)
        fprintf(stderr,
                "kvpbus: items " DOCTOR_PREFIX ".* of this guest could not be removed: %s\n",
                answerer.failure.detail);
    kvpbus_scan_free(&answerer.scan);
    kvpbus_store_close(answerer.store);
    if (!well)
        return kvpbus_command_failed(context, &why);
    return removed ? KVPBUS_EXIT_OK : KVPBUS_EXIT_FAILED;
}
