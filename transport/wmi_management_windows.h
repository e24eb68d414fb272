// SPDX-License-Identifier: Apache-2.0
//
// What the parts of the management service over WMI share.
#ifndef KVPBUS_WMI_MANAGEMENT_WINDOWS_H
#define KVPBUS_WMI_MANAGEMENT_WINDOWS_H

#include "wmi_connection_windows.h"

// Freed when its last thread has ended, which may be after it was closed.
struct kvpbus_wmi {
    struct kvpbus_management head;
    struct kvpbus_wmi_target target;
    bool with_intrinsic; // guests may use Auto
    unsigned deadline_ms;
    struct kvpbus_wmi_workers *workers;
    SRWLOCK lock;                          // of what is below
    struct kvpbus_wmi_connection *current; // NULL: the next call connects
    uint8_t (*known)[KVPBUS_GUID_BYTES];   // the VMs of the last listing
    size_t known_count;
};

// One call of the service: the head of each kind's own struct, which is allocated, since its caller
// may leave it.
struct kvpbus_wmi_call {
    struct kvpbus_wmi_work work;
    struct kvpbus_wmi *wmi;
    enum kvpbus_error error; // the outcome
    struct kvpbus_failure failure;
    // Set by a step that cannot be undone: no step is repeated while it is.
    bool sent;
};

typedef HRESULT kvpbus_wmi_step(struct kvpbus_wmi_connection *connection,
                                struct kvpbus_wmi_call *call);

// Runs a step over the connection, which is made when there is none. When that proves lost, it is
// run once more over a new one.
HRESULT kvpbus_wmi_attempt(struct kvpbus_wmi_call *call, kvpbus_wmi_step *step);

// Makes an HRESULT the outcome of the call, with what its last step was about. Returns its error.
enum kvpbus_error kvpbus_wmi_failed(struct kvpbus_wmi_call *call, HRESULT result);

static inline struct kvpbus_wmi *kvpbus_wmi_of(struct kvpbus_management *management)
{
    return (struct kvpbus_wmi *)management;
}

// Prepares a call that has been allocated with zeros. `run` sets its outcome, `discard` frees it.
void kvpbus_wmi_prepare(struct kvpbus_wmi_call *call, struct kvpbus_wmi *wmi,
                        void (*run)(struct kvpbus_wmi_task *),
                        void (*discard)(struct kvpbus_wmi_task *));

// Carries it out within the deadline. True: it has ended, its outcome counts, and the caller frees
// it. False: *error and *failure say why there is none, and it is freed when it ends.
bool kvpbus_wmi_carry_out(struct kvpbus_wmi_call *call, enum kvpbus_error *error,
                          struct kvpbus_failure *failure);

// The VMs of the host, as a step of any call: an array that is freed with free().
HRESULT kvpbus_wmi_list_vms(struct kvpbus_wmi_connection *connection, struct kvpbus_wmi_call *call,
                            struct kvpbus_vm **vms, size_t *count);

// The operations.
enum kvpbus_error kvpbus_wmi_list(struct kvpbus_management *management, struct kvpbus_vm **vms,
                                  size_t *count, struct kvpbus_failure *failure);
enum kvpbus_error kvpbus_wmi_read_guest(struct kvpbus_management *management, const char *prefix,
                                        const uint8_t (*guids)[KVPBUS_GUID_BYTES], size_t count,
                                        struct kvpbus_scan *scans, enum kvpbus_error *results,
                                        struct kvpbus_failure *failure);
enum kvpbus_error kvpbus_wmi_read_host(struct kvpbus_management *management, const char *prefix,
                                       const uint8_t guid[KVPBUS_GUID_BYTES],
                                       struct kvpbus_scan *scan, struct kvpbus_failure *failure);
enum kvpbus_error
kvpbus_wmi_change(struct kvpbus_management *management, enum kvpbus_operation operation,
                  const uint8_t guid[KVPBUS_GUID_BYTES], const struct kvpbus_change *items,
                  size_t count, struct kvpbus_call_result *result, struct kvpbus_failure *failure);

#endif
