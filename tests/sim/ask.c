// SPDX-License-Identifier: Apache-2.0
#include "ask.h"

#include <stdio.h>

void ask_answered(struct answer *answer, const struct kvpbus_failure *failure)
{
    answer->here = true;
    answer->code = failure->code;
    snprintf(answer->words, sizeof answer->words, "%s", failure->detail);
}

void ask_queued(void *context, const struct kvpbus_message_id *id,
                const struct kvpbus_failure *failure)
{
    struct answer *answer = context;
    ask_answered(answer, failure);
    answer->given = id != NULL;
    if (id != NULL)
        answer->id = *id;
}

void ask_done(void *context, const struct kvpbus_failure *failure)
{
    ask_answered(context, failure);
}

void ask_leased(void *context, struct kvpbus_delivery *delivery,
                const struct kvpbus_awaited *awaited, const struct kvpbus_failure *failure)
{
    struct answer *answer = context;
    ask_answered(answer, failure);
    answer->given = delivery != NULL;
    if (awaited != NULL)
        answer->awaited = *awaited;
    if (delivery == NULL)
        return;
    answer->lease = delivery->lease;
    answer->try_ = delivery->try_;
    snprintf(answer->body, sizeof answer->body, "%.*s", (int)delivery->message.body_length,
             (const char *)delivery->message.body);
    kvpbus_delivery_free(delivery);
}

void ask_status(void *context, const struct kvpbus_message_status *status,
                const struct kvpbus_failure *failure)
{
    struct answer *answer = context;
    ask_answered(answer, failure);
    answer->given = status != NULL;
    if (status != NULL)
        answer->status = *status;
}

bool ask_is_here(void *context)
{
    return ((struct answer *)context)->here;
}

struct sim_world *ask_begin(void)
{
    struct sim_world *world = live_world();
    world->sides[SIM_HOST].consumer_stops = world->sides[SIM_GUEST].consumer_stops = true;
    live_begin(world);
    return world;
}
