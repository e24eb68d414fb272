// SPDX-License-Identifier: Apache-2.0
//
// The management service as a whole, which can be restarted, be stopped, deny access, hide or be
// missing. It is so only for clients that come through it, as WMI's do: the lab itself goes on.
#include <string.h>

#include "lab.h"
#include "lab.pb-c.h"

#define SAME(ours, theirs)                                                                         \
    _Static_assert((int)KVPBUS_LAB_SERVICE_##ours == KVPBUS__LAB__SERVICE_STATE__SERVICE_##theirs, \
                   "the states of proto/lab.proto")
SAME(NORMAL, NORMAL);
SAME(RESTARTED, RESTARTED);
SAME(STOPPED, STOPPED);
SAME(DENIES, DENIES);
SAME(ABSENT, ABSENT);
SAME(HIDES, HIDES);

void kvpbus_lab_service_start(struct kvpbus_lab *lab)
{
    lab->incarnation = uv_hrtime() | 1;
}

bool kvpbus_lab_service_set(struct kvpbus_lab *lab, uint32_t state)
{
    if (state >= KVPBUS_LAB_SERVICE_STATES)
        return false;
    lab->service = (enum kvpbus_lab_service_state)state;
    if (lab->service == KVPBUS_LAB_SERVICE_RESTARTED) {
        lab->service = KVPBUS_LAB_SERVICE_NORMAL;
        lab->incarnation++;
        lab->forgotten_jobs = lab->last_job;
    }
    return true;
}

enum kvpbus_lab_service_state kvpbus_lab_service_refusal(const struct kvpbus_lab *lab,
                                                         uint64_t incarnation)
{
    if (lab->service != KVPBUS_LAB_SERVICE_NORMAL)
        return lab->service;
    return incarnation != 0 && incarnation != lab->incarnation ? KVPBUS_LAB_SERVICE_RESTARTED
                                                               : KVPBUS_LAB_SERVICE_NORMAL;
}

bool kvpbus_lab_service_parse(const char *word, uint32_t *state)
{
    static const char *const words[] = {
        [KVPBUS_LAB_SERVICE_NORMAL] = "normal", [KVPBUS_LAB_SERVICE_RESTARTED] = "restart",
        [KVPBUS_LAB_SERVICE_STOPPED] = "stop",  [KVPBUS_LAB_SERVICE_DENIES] = "deny",
        [KVPBUS_LAB_SERVICE_ABSENT] = "absent", [KVPBUS_LAB_SERVICE_HIDES] = "hide",
    };
    for (*state = 0; *state < KVPBUS_LAB_SERVICE_STATES; ++*state)
        if (strcmp(words[*state], word) == 0)
            return true;
    return false;
}
