// SPDX-License-Identifier: Apache-2.0
//
// Questions 1 and 2: reads of the guest's items, and how long calls take.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor_vm.h"

enum {
    READS = 20,
    ROUNDS = 5,
    ANSWER_WITHIN = 10000, // ms
    LOOK_EVERY = 30,       // ms, so that the guest has counted on in between
    LOOK_AT_LEAST = 1500,  // ms
    LOOK_AT_MOST = 12000,  // ms
    CHANGES = 12,
    GAPS_MAX = LOOK_AT_MOST / LOOK_EVERY + 1,
    VALUE = 1000, // characters, about what the bus writes
};

#define MS(us) ((double)(us) / 1000)

// --- 1 ---

static bool read_times(struct doctor_vm *doctor)
{
    struct kvpbus_scan scan = {0};
    int64_t guest[READS], host[READS];
    bool well = true;
    for (unsigned i = 0; well && i < READS; i++) {
        doctor_progress(doctor, "reads", i, READS);
        int64_t before = doctor_now_us();
        well = doctor_read_guest(doctor, &scan);
        int64_t between = doctor_now_us();
        well = well && doctor_read_host(doctor, &scan);
        guest[i] = between - before;
        host[i] = doctor_now_us() - between;
    }
    kvpbus_scan_free(&scan);
    if (!well)
        return false;
    struct doctor_spread of_guest = doctor_spread_of(guest, READS);
    struct doctor_spread of_host = doctor_spread_of(host, READS);
    struct doctor_row *row = doctor_found(
        doctor, "a read of the guest's items", "measured",
        "%.1f ms, at most %.1f of %d; of the host's %.1f ms, at most %.1f", MS(of_guest.median),
        MS(of_guest.most), READS, MS(of_host.median), MS(of_host.most));
    doctor_number(row, "tries", READS);
    doctor_number(row, "guest_median_us", of_guest.median);
    doctor_number(row, "guest_most_us", of_guest.most);
    doctor_number(row, "host_median_us", of_host.median);
    doctor_number(row, "host_most_us", of_host.most);
    return true;
}

static bool round_trips(struct doctor_vm *doctor)
{
    static const char about[] = "question and answer";
    char answer[DOCTOR_ANSWER];
    int64_t times[ROUNDS];
    for (unsigned i = 0; i < ROUNDS; i++) {
        doctor_progress(doctor, about, i, ROUNDS);
        int64_t before = doctor_now_us();
        if (!doctor_ask(doctor, DOCTOR_ASK_HELLO, 0, ANSWER_WITHIN, answer))
            return false;
        times[i] = doctor_now_us() - before;
        if (answer[0] == '\0') {
            doctor_unmeasured(doctor, about, "the guest has not answered within %d s",
                              ANSWER_WITHIN / 1000);
            return true;
        }
    }
    struct doctor_spread spread = doctor_spread_of(times, ROUNDS);
    struct doctor_row *row =
        doctor_found(doctor, about, "measured", "%.1f ms to the guest and back, at most %.1f of %d",
                     MS(spread.median), MS(spread.most), ROUNDS);
    doctor_number(row, "tries", ROUNDS);
    doctor_number(row, "median_us", spread.median);
    doctor_number(row, "most_us", spread.most);
    return true;
}

struct counter {
    int64_t gaps[GAPS_MAX]; // us between two reads that showed something new
    size_t count;
    int64_t began, changed;
    unsigned long last;
    unsigned reads;
};

static void look(struct counter *counter, const char *value)
{
    const char *blank = value != NULL ? strchr(value, ' ') : NULL;
    unsigned long now = blank != NULL ? strtoul(blank, NULL, 10) : 0;
    counter->reads++;
    if (now == 0 || now == counter->last)
        return;
    int64_t moment = doctor_now_us();
    if (counter->changed != 0 && counter->count < GAPS_MAX)
        counter->gaps[counter->count++] = moment - counter->changed;
    counter->changed = moment;
    counter->last = now;
}

static bool watch(struct doctor_vm *doctor, struct counter *counter)
{
    struct kvpbus_scan scan = {0};
    bool well = true;
    counter->began = doctor_now_us();
    for (int64_t ms = 0; well && ms < LOOK_AT_MOST;) {
        if (counter->count >= CHANGES && ms >= LOOK_AT_LEAST)
            break;
        doctor_progress(doctor, "counting", (unsigned)counter->count, CHANGES);
        well = doctor_read_guest(doctor, &scan);
        if (well)
            look(counter, doctor_value(&scan, DOCTOR_KEY_COUNTER));
        well = well && doctor_pause(doctor, LOOK_EVERY);
        ms = (doctor_now_us() - counter->began) / 1000;
    }
    kvpbus_scan_free(&scan);
    return well;
}

// The guest counts faster than the host looks: read on demand, each look shows something new.
static void judge(struct doctor_vm *doctor, struct counter *counter)
{
    int64_t all = doctor_now_us() - counter->began;
    int64_t every = counter->reads > 0 ? all / counter->reads : all;
    struct doctor_spread spread = doctor_spread_of(counter->gaps, counter->count);
    const char *found = "on-demand";
    if (counter->count < 2)
        found = "unclear";
    else if (spread.median > every * 5 / 2)
        found = "cached";
    struct doctor_row *row =
        doctor_found(doctor, "what the guest writes", found,
                     "something new every %.0f ms, at most %.0f; looked every %.0f ms, %u times",
                     MS(spread.median), MS(spread.most), MS(every), counter->reads);
    doctor_number(row, "reads", counter->reads);
    doctor_number(row, "changes", (int64_t)counter->count);
    doctor_number(row, "read_every_us", every);
    doctor_number(row, "change_median_us", spread.median);
    doctor_number(row, "change_most_us", spread.most);
}

bool doctor_reads(struct doctor_vm *doctor)
{
    static struct counter counter;
    char answer[DOCTOR_ANSWER];
    counter = (struct counter){0};
    if (!read_times(doctor))
        return false;
    if (!doctor_helped(doctor, "what the guest writes"))
        return true;
    if (!round_trips(doctor) ||
        !doctor_ask(doctor, DOCTOR_ASK_COUNT, DOCTOR_COUNT_LONGEST, ANSWER_WITHIN, answer) ||
        !watch(doctor, &counter))
        return false;
    judge(doctor, &counter);
    return doctor_ask(doctor, DOCTOR_ASK_STOP, 0, ANSWER_WITHIN, answer);
}

// --- 2 ---

struct batch {
    char keys[KVPBUS_MANAGEMENT_BATCH][32];
    char values[2][VALUE + 1];
    struct kvpbus_change items[KVPBUS_MANAGEMENT_BATCH];
};

static void prepare(struct batch *batch)
{
    for (unsigned i = 0; i < KVPBUS_MANAGEMENT_BATCH; i++) {
        snprintf(batch->keys[i], sizeof batch->keys[i], DOCTOR_KEY("t") "%03u", i);
        batch->items[i].key = batch->keys[i];
    }
    memset(batch->values[0], 'a', VALUE);
    memset(batch->values[1], 'b', VALUE);
}

// Add, Modify, Remove. The first that fails is in *result.
static bool one_round(struct doctor_vm *doctor, struct batch *batch, size_t size, int64_t times[3],
                      struct kvpbus_call_result *result)
{
    static const enum kvpbus_operation operations[] = {KVPBUS_OP_ADD, KVPBUS_OP_MODIFY,
                                                       KVPBUS_OP_REMOVE};
    for (unsigned o = 0; o < 3; o++) {
        for (size_t i = 0; i < size; i++)
            batch->items[i].value = batch->values[o % 2];
        int64_t before = doctor_now_us();
        if (!doctor_call(doctor, operations[o], batch->items, size, result))
            return false;
        times[o] = doctor_now_us() - before;
        if (doctor_outcome(result) != 0)
            return true;
    }
    return true;
}

static void say_times(struct doctor_vm *doctor, const char *about, int64_t times[3][ROUNDS])
{
    static const char *const names[3][2] = {{"add_median_us", "add_most_us"},
                                            {"modify_median_us", "modify_most_us"},
                                            {"remove_median_us", "remove_most_us"}};
    struct doctor_spread of[3];
    for (unsigned o = 0; o < 3; o++)
        of[o] = doctor_spread_of(times[o], ROUNDS);
    struct doctor_row *row = doctor_found(
        doctor, about, "measured",
        "Add %.1f ms, Modify %.1f, Remove %.1f; at most %.1f, %.1f, %.1f of %d", MS(of[0].median),
        MS(of[1].median), MS(of[2].median), MS(of[0].most), MS(of[1].most), MS(of[2].most), ROUNDS);
    doctor_number(row, "tries", ROUNDS);
    for (unsigned o = 0; o < 3; o++) {
        doctor_number(row, names[o][0], of[o].median);
        doctor_number(row, names[o][1], of[o].most);
    }
}

static bool job_times(struct doctor_vm *doctor, struct batch *batch, const char *about, size_t size)
{
    struct kvpbus_call_result result;
    int64_t times[3][ROUNDS];
    char said[DOCTOR_SAYS];
    for (unsigned i = 0; i < ROUNDS; i++) {
        int64_t one[3] = {0};
        doctor_progress(doctor, about, i, ROUNDS);
        if (!one_round(doctor, batch, size, one, &result))
            return false;
        if (doctor_outcome(&result) != 0) {
            doctor_outcome_text(&result, said);
            doctor_code(doctor_found(doctor, about, "refused", "%s", said), &result);
            return doctor_clear(doctor);
        }
        for (unsigned o = 0; o < 3; o++)
            times[o][i] = one[o];
    }
    say_times(doctor, about, times);
    return true;
}

bool doctor_job_times(struct doctor_vm *doctor)
{
    static struct batch batch;
    static const struct {
        const char *about;
        unsigned size;
    } sizes[] = {{"1 item", 1}, {"16 items", 16}, {"128 items", 128}};
    prepare(&batch);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (sizes[i].size > 16 && doctor->until < sizes[i].size)
            doctor_unmeasured(doctor, sizes[i].about,
                              "needs --until %u: so many items stand there for a moment",
                              sizes[i].size);
        else if (!job_times(doctor, &batch, sizes[i].about, sizes[i].size))
            return false;
    }
    return true;
}
