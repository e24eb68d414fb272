// SPDX-License-Identifier: Apache-2.0
//
// Asks the bus of one side of a live world, and waits for what comes of it.
#ifndef KVPBUS_SIM_ASK_H
#define KVPBUS_SIM_ASK_H

#include <criterion/criterion.h>

#include "live.h"

// What came of a call; copied, because the rest belongs to the side. A test looks at what its call
// tells of.
struct answer {
    bool here, last; // the last of several
    enum kvpbus_error code;
    char words[sizeof((struct kvpbus_failure *)NULL)->detail];
    bool given; // an id, a lease, a status, counts, or the endpoint of a withdrawn message
    struct kvpbus_message_id id;
    int64_t lease;
    uint32_t try_;
    char body[64];
    struct kvpbus_message_status status;
    struct kvpbus_message_record record;
    struct kvpbus_journal_counts counts;
    struct kvpbus_awaited awaited;
    size_t count;
};

// Callbacks of the bus whose context is a struct answer.
void ask_queued(void *context, const struct kvpbus_message_id *id,
                const struct kvpbus_failure *failure);
void ask_done(void *context, const struct kvpbus_failure *failure);
void ask_leased(void *context, struct kvpbus_delivery *delivery,
                const struct kvpbus_awaited *awaited, const struct kvpbus_failure *failure);
void ask_status(void *context, const struct kvpbus_message_status *status,
                const struct kvpbus_failure *failure);
// For the others: it is here, and how it ended.
void ask_answered(struct answer *answer, const struct kvpbus_failure *failure);

bool ask_is_here(void *context);

// Makes `call` in `process`, and waits until the answer is here.
#define ASK(world, index, answer, call)                                    \
    do {                                                                   \
        struct sim_process *process = (world)->sides[index].process;       \
        struct sim_arena *before = sim_side_enter(process->side);          \
        (answer)->here = false;                                            \
        call;                                                              \
        sim_side_leave(before);                                            \
        live_until(world, ask_is_here, answer);                            \
        cr_assert((answer)->code == KVPBUS_OK || (answer)->words[0] != 0); \
    } while (0)

// A live world whose consumers are the test.
struct sim_world *ask_begin(void);

#endif
