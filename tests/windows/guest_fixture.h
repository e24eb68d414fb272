// SPDX-License-Identifier: Apache-2.0
//
// The guest of the lab's Windows VM gamma: a Wine prefix in which its integration service runs, and
// a program's store there. Everything asserts.
#ifndef KVPBUS_TESTS_GUEST_FIXTURE_H
#define KVPBUS_TESTS_GUEST_FIXTURE_H

#include "lab_fixture.h"
#include "store_proxy.h"

struct guest {
    struct wine wine;
    char address[LAB_ADDRESS]; // of the lab
    pid_t service;
    int output;                 // what it says
    struct kvpbus_store *store; // of the kind "registry", or NULL
};

// Starts the guest, its lab running with --windows-vm gamma; its service is connected. `kind` is
// that of the store to open; NULL: none.
void guest_start(struct guest *guest, const struct lab *lab, const char *kind);

// Waits until the service has said this.
void guest_await(struct guest *guest, const char *word);

// Closes the store, stops the lab, with which the service ends, and removes both.
void guest_end(struct guest *guest, struct lab *lab);

#endif
