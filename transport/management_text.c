// SPDX-License-Identifier: Apache-2.0
#include "kvpbus/management.h"

const char *kvpbus_job_state_text(uint32_t state)
{
    switch (state) {
#define X(name, number, text) \
    case number:              \
        return text;
        KVPBUS_JOB_MAP(X)
#undef X
    default:
        return "in an unlisted state";
    }
}

const char *kvpbus_vm_state_text(uint32_t state)
{
    static const char *const texts[] = {
        [KVPBUS_VM_STATE_OFF] = "off",         [KVPBUS_VM_STATE_STARTING] = "starting",
        [KVPBUS_VM_STATE_RUNNING] = "running", [KVPBUS_VM_STATE_PAUSED] = "paused",
        [KVPBUS_VM_STATE_SAVED] = "saved",     [KVPBUS_VM_STATE_STOPPING] = "stopping",
        [KVPBUS_VM_STATE_FAILED] = "failed",
    };
    return state < sizeof texts / sizeof *texts ? texts[state] : "unknown";
}

const char *kvpbus_return_text(uint32_t code)
{
    switch (code) {
#define X(name, number, text) \
    case number:              \
        return text;
        KVPBUS_RETURN_MAP(X)
#undef X
    default:
        return "unlisted code";
    }
}
