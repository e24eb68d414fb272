// SPDX-License-Identifier: Apache-2.0
//
// What people are told differently on other systems.
#ifndef KVPBUS_WORDS_H
#define KVPBUS_WORDS_H

#define KVPBUS_WORD_STORES \
    "registry or registry:auto in a guest, wmi or lab:127.0.0.1:PORT on a host"
#define KVPBUS_WORD_SOCKET "a pipe of this machine, \\\\.\\pipe\\NAME"
#define KVPBUS_WORD_RELOAD "at the next start"
#define KVPBUS_WORD_METRICS \
    "none, for there is no listener on Windows; 'kvpbus metrics' prints the figures"
#define KVPBUS_WORD_LOG_FORMAT "How lines are logged."
#define KVPBUS_WORD_ELEVATED "use an elevated prompt"
#define KVPBUS_WORD_TOKEN_GUARD "for SYSTEM and Administrators alone"

#endif
