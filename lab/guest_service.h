// SPDX-License-Identifier: Apache-2.0
//
// The line to a Windows guest's integration service, for which a program in a Windows or Wine
// stands in: a connection of the management API that has asked for it.
#ifndef KVPBUS_LAB_GUEST_SERVICE_H
#define KVPBUS_LAB_GUEST_SERVICE_H

#include "server.h"

// Answers the request; from then on the connection is the VM's line.
void kvpbus_lab_guest_attach(struct kvpbus_lab_connection *connection,
                             const Kvpbus__Lab__Attach *request);

// Takes the answer in connection->request to what the guest was asked.
void kvpbus_lab_guest_answer(struct kvpbus_lab_connection *connection);

// The connection, which is a VM's line, is being closed.
void kvpbus_lab_guest_closed(struct kvpbus_lab_connection *connection);

// Has all items of a pool removed in the guest. KVPBUS_STORE_GONE when its service is not there.
enum kvpbus_error kvpbus_lab_guest_wipe(struct kvpbus_lab_vm *vm, int64_t pool,
                                        struct kvpbus_failure *failure);

#endif
