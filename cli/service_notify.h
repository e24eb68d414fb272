// SPDX-License-Identifier: Apache-2.0
//
// What the service manager is told: ready, stopping, and, as sd_notify(3) has it, that the service
// is alive when it asked for that (a watchdog). Windows' manager asks for the stop here too. One
// source per system.
#ifndef KVPBUS_SERVICE_NOTIFY_H
#define KVPBUS_SERVICE_NOTIFY_H

struct kvpbus_service;
struct kvpbus_notifier;

// "Ready", and signs of life from now on: one for each turn of loop and journal, so that a service
// of which either hangs is started again. NULL: no service manager asked (NOTIFY_SOCKET is not
// set), or, on Windows, the program was not started by one.
struct kvpbus_notifier *kvpbus_notifier_start(struct kvpbus_service *service);
void kvpbus_notifier_stopping(struct kvpbus_notifier *notifier);
// Of a service that ends at once and well, because there is nothing for it here: an end without
// "ready" would be a failed start.
void kvpbus_notify_nothing_to_do(void);
// Of a stop that has taken too long: the process ends now.
void kvpbus_notify_cut_short(void);
// Before the journal's thread ends. The loop has to turn once more after it.
void kvpbus_notifier_close(struct kvpbus_notifier *notifier);

#endif
