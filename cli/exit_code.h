// SPDX-License-Identifier: Apache-2.0
//
// How the programs end; the man pages and docs/windows.md list the same.
#ifndef KVPBUS_EXIT_CODE_H
#define KVPBUS_EXIT_CODE_H

#include "kvpbus/error.h"

enum kvpbus_exit {
    KVPBUS_EXIT_OK = 0,
    KVPBUS_EXIT_FAILED = 1,
    KVPBUS_EXIT_USAGE = 2,
    KVPBUS_EXIT_NO_SERVICE = 3, // the service, or the lab, does not answer
    KVPBUS_EXIT_NO_PEER = 4,    // unknown or ambiguous VM
    KVPBUS_EXIT_UNPAIRED = 5,   // not paired, or the fingerprint does not match
    KVPBUS_EXIT_TIMEOUT = 6,
    KVPBUS_EXIT_REFUSED = 7, // a quota, a limit, a full disk
    KVPBUS_EXIT_NOT_HYPERV = 8,
    KVPBUS_EXIT_RUNNING = 9,        // another process has the state folder
    KVPBUS_EXIT_JOURNAL = 10,       // damaged, or written by a newer version
    KVPBUS_EXIT_NOT_DELIVERED = 11, // expired, dead or unknown
};

enum kvpbus_exit kvpbus_exit_of(enum kvpbus_error error);

#endif
