// SPDX-License-Identifier: Apache-2.0
//
// The process of a guest's unmodified hv_kvp_daemon, in a mount namespace in which /var/lib/hyperv
// is the VM's own folder and /dev/vmbus/hv_kvp, by the device shim, a socket of the lab.
#ifndef KVPBUS_LAB_GUEST_PROCESS_H
#define KVPBUS_LAB_GUEST_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "kvpbus/error.h"

// Hidden subcommand of kvpbus-lab: makes the namespace and becomes the daemon.
// argv: guest-entry PARENT_PID POOL_FOLDER DAEMON. Returns an exit code only when it fails.
#define KVPBUS_LAB_GUEST_ENTRY "guest-entry"
int kvpbus_lab_guest_entry(int argc, char **argv);
enum { KVPBUS_LAB_EXIT_CANNOT_ENTER = 125, KVPBUS_LAB_EXIT_CANNOT_EXECUTE = 126 };

// The environment variable in which the device shim finds its socket.
#define KVPBUS_LAB_DEVICE_VARIABLE "KVPBUS_LAB_DEVICE"

// Where things are; the strings live as long as the process.
struct kvpbus_lab_guest_paths {
    const char *pools;  // becomes /var/lib/hyperv
    const char *device; // socket of the driver
    const char *log;    // the daemon's messages are appended here
    const char *daemon; // hv_kvp_daemon
    const char *shim;   // the device shim
};

struct kvpbus_lab_guest_process {
    uv_process_t *process; // NULL: none runs
    // The process has ended. Called on the loop, when `process` is NULL again.
    void (*ended)(void *context, int64_t status, int signal);
    void *context;
};

enum kvpbus_error kvpbus_lab_guest_process_start(struct kvpbus_lab_guest_process *guest,
                                                 uv_loop_t *loop,
                                                 const struct kvpbus_lab_guest_paths *paths,
                                                 struct kvpbus_failure *failure);

// Sends a signal to a process that runs; nothing otherwise.
void kvpbus_lab_guest_process_signal(struct kvpbus_lab_guest_process *guest, int signal);

// Finds the device shim: KVPBUS_LAB_SHIM, or beside this program, or in ../lib/kvpbus of it.
enum kvpbus_error kvpbus_lab_find_shim(char *path, size_t size, struct kvpbus_failure *failure);

#endif
