// SPDX-License-Identifier: Apache-2.0
//
// What an answer of the management service to Add, Modify or Remove means. Pure. Any thread.
#ifndef KVPBUS_MANAGEMENT_VERDICT_H
#define KVPBUS_MANAGEMENT_VERDICT_H

#include "kvpbus/management.h"

enum kvpbus_verdict_kind {
    KVPBUS_VERDICT_DONE,
    // An item exists that was to be added, or does not exist that was to be modified or removed:
    // or so it seems, since the service has one code for this and for any bad parameter.
    KVPBUS_VERDICT_COLLISION,
    KVPBUS_VERDICT_REFUSED,
    KVPBUS_VERDICT_LOST, // it may have been carried out, or may yet be
};

struct kvpbus_verdict {
    enum kvpbus_verdict_kind kind;
    enum kvpbus_error error; // KVPBUS_OK when done
    bool partial;            // some of the items may have been carried out
    bool ask_state;          // the state of the VM may tell the reason better
};

// `call_error` is what the call returned; *result counts only when it is KVPBUS_OK. Unless the
// verdict is DONE, *failure says in words what the service answered.
struct kvpbus_verdict kvpbus_management_verdict(enum kvpbus_operation operation, size_t count,
                                                enum kvpbus_error call_error,
                                                const struct kvpbus_call_result *result,
                                                struct kvpbus_failure *failure);

#endif
