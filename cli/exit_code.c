// SPDX-License-Identifier: Apache-2.0
#include "exit_code.h"

enum kvpbus_exit kvpbus_exit_of(enum kvpbus_error error)
{
    switch (error) {
    case KVPBUS_OK:
        return KVPBUS_EXIT_OK;
    case KVPBUS_INVALID_ARGUMENT:
    case KVPBUS_BAD_TOPIC:
    case KVPBUS_BAD_STREAM:
    case KVPBUS_CONFIG:
        return KVPBUS_EXIT_USAGE;
    case KVPBUS_NO_DAEMON:
    case KVPBUS_CLOSED:
    case KVPBUS_STORE_GONE:
        return KVPBUS_EXIT_NO_SERVICE;
    case KVPBUS_VM_UNKNOWN:
    case KVPBUS_VM_AMBIGUOUS:
        return KVPBUS_EXIT_NO_PEER;
    case KVPBUS_UNPAIRED:
    case KVPBUS_BAD_KEY:
    case KVPBUS_BAD_TOKEN:
        return KVPBUS_EXIT_UNPAIRED;
    case KVPBUS_TIMEOUT:
        return KVPBUS_EXIT_TIMEOUT;
    case KVPBUS_TOO_LARGE:
    case KVPBUS_QUOTA:
    case KVPBUS_JOURNAL_FULL:
    case KVPBUS_NO_SPACE:
        return KVPBUS_EXIT_REFUSED;
    case KVPBUS_NOT_HYPERV:
        return KVPBUS_EXIT_NOT_HYPERV;
    case KVPBUS_JOURNAL_LOCKED:
        return KVPBUS_EXIT_RUNNING;
    case KVPBUS_JOURNAL_DAMAGED:
    case KVPBUS_JOURNAL_NEWER:
        return KVPBUS_EXIT_JOURNAL;
    default:
        return KVPBUS_EXIT_FAILED;
    }
}
