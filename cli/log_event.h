// SPDX-License-Identifier: Apache-2.0
//
// What is logged and has a number of its own, which is its id in Windows' Event Log. Numbers are
// stable; docs/windows.md says what each means and what to do. CMake makes Windows' table of
// messages of this list, which has a line for each.
#ifndef KVPBUS_LOG_EVENT_H
#define KVPBUS_LOG_EVENT_H

// X(name, id, level); the first four are of what has no number of its own.
#define KVPBUS_LOG_EVENT_MAP(X)      \
    X(ERROR, 1, ERROR)               \
    X(WARNING, 2, WARNING)           \
    X(INFO, 3, INFO)                 \
    X(DEBUG, 4, DEBUG)               \
    X(STARTED, 100, INFO)            \
    X(STOPPING, 101, INFO)           \
    X(NOT_STARTED, 102, ERROR)       \
    X(STOP_CUT_SHORT, 103, WARNING)  \
    X(UNKNOWN_OPTION, 104, WARNING)  \
    X(LINK, 200, INFO)               \
    X(PAIRING_ASKED, 201, INFO)      \
    X(ALARM, 202, WARNING)           \
    X(WENT_BACK, 203, WARNING)       \
    X(SECOND_WRITER, 204, ERROR)     \
    X(NOT_SERVED, 205, ERROR)        \
    X(REBOUND, 206, INFO)            \
    X(PEER_ROTATED, 207, INFO)       \
    X(TRUSTED, 300, INFO)            \
    X(NOT_TRUSTED, 301, ERROR)       \
    X(TOKEN_MADE, 302, INFO)         \
    X(TOKEN_TAKEN, 303, INFO)        \
    X(TOKEN_STAYS, 304, WARNING)     \
    X(ROTATED, 305, INFO)            \
    X(MANAGEMENT_GONE, 400, WARNING) \
    X(MANAGEMENT_BACK, 401, INFO)    \
    X(BACKUP_MADE, 402, INFO)        \
    X(NO_NOTICE, 403, WARNING)

enum kvpbus_log_event {
#define X(name, id, level) KVPBUS_LOGGED_##name = id,
    KVPBUS_LOG_EVENT_MAP(X)
#undef X
};

#endif
