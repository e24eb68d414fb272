// SPDX-License-Identifier: Apache-2.0
//
// What people are told differently on other systems.
#ifndef KVPBUS_WORDS_H
#define KVPBUS_WORDS_H

#define KVPBUS_WORD_STORES "pool:DIR in a guest, lab:PATH on a host"
#define KVPBUS_WORD_SOCKET "a path"
#define KVPBUS_WORD_RELOAD "on SIGHUP"
#define KVPBUS_WORD_METRICS                                                                      \
    "unix:PATH, or 127.0.0.1:PORT or [::1]:PORT, which every user of the machine can read; off " \
    "unless given"
#define KVPBUS_WORD_LOG_FORMAT "How lines are logged; in systemd's journal each has its priority."
#define KVPBUS_WORD_ELEVATED "use sudo, or the service's user"
#define KVPBUS_WORD_TOKEN_GUARD "mode 0600"

#endif
