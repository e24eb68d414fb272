// SPDX-License-Identifier: Apache-2.0
//
// The management service of a Hyper-V host, as far as kvpbus uses it: which VMs there are, and the
// Data Exchange operations of Msvm_VirtualSystemManagementService with their return values and
// jobs. Two implementations: the lab's socket here, WMI on Windows. kvpbus_management_store makes
// one VM's store of it.
//
// Calls block until the job has ended or the deadline of the service has passed, which is said
// where it is opened and holds for each call by itself; they may be made from several threads at
// once. What a caller passes need live only during the call.
#ifndef KVPBUS_MANAGEMENT_H
#define KVPBUS_MANAGEMENT_H

#include "kvpbus/identity.h"
#include "kvpbus/store.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    // A VM's display name (ElementName) in bytes of UTF-8, without the NUL; longer is cut.
    KVPBUS_VM_NAME_MAX = 255,
    KVPBUS_GUID_TEXT = 36, // characters, without the NUL
    KVPBUS_GUID_BYTES = KVPBUS_VM_ID_BYTES,
    // Items in one Add, Modify or Remove call: the documented limit (fact sheet part 1).
    KVPBUS_MANAGEMENT_BATCH = 128,
};

// Return values of the methods, and ErrorCode of their jobs (fact sheet part 2).
#define KVPBUS_RETURN_MAP(X)                           \
    X(COMPLETED, 0, "completed")                       \
    X(JOB_STARTED, 4096, "job started")                \
    X(FAILED, 32768, "failed")                         \
    X(ACCESS_DENIED, 32769, "access denied")           \
    X(NOT_SUPPORTED, 32770, "not supported")           \
    X(UNKNOWN, 32771, "status unknown")                \
    X(TIMEOUT, 32772, "timeout")                       \
    X(INVALID_PARAMETER, 32773, "invalid parameter")   \
    X(IN_USE, 32774, "system is in use")               \
    X(INVALID_STATE, 32775, "invalid state")           \
    X(BAD_DATA_TYPE, 32776, "incorrect data type")     \
    X(NOT_AVAILABLE, 32777, "system is not available") \
    X(OUT_OF_MEMORY, 32778, "out of memory")           \
    X(NOT_FOUND, 32779, "not found")

enum kvpbus_return {
#define X(name, number, text) KVPBUS_RETURN_##name = number,
    KVPBUS_RETURN_MAP(X)
#undef X
};

// "invalid parameter" for 32773; "code 4711" is not made up: unknown numbers give "unlisted code".
// The text is static. Any thread.
const char *kvpbus_return_text(uint32_t code);

// JobState of CIM_ConcreteJob. COMPLETED is the only success; everything from it on is an end.
#define KVPBUS_JOB_MAP(X)                \
    X(NEW, 2, "new")                     \
    X(STARTING, 3, "starting")           \
    X(RUNNING, 4, "running")             \
    X(SUSPENDED, 5, "suspended")         \
    X(SHUTTING_DOWN, 6, "shutting down") \
    X(COMPLETED, 7, "completed")         \
    X(TERMINATED, 8, "terminated")       \
    X(KILLED, 9, "killed")               \
    X(EXCEPTION, 10, "failed")           \
    X(SERVICE, 11, "in service")

enum kvpbus_job_state {
#define X(name, number, text) KVPBUS_JOB_##name = (number),
    KVPBUS_JOB_MAP(X)
#undef X
};

// The state in words; for a number that is not listed a text that says so. Static. Any thread.
const char *kvpbus_job_state_text(uint32_t state);

enum kvpbus_vm_state {
    KVPBUS_VM_STATE_OFF,
    KVPBUS_VM_STATE_STARTING,
    KVPBUS_VM_STATE_RUNNING,
    KVPBUS_VM_STATE_PAUSED,
    KVPBUS_VM_STATE_SAVED,
    KVPBUS_VM_STATE_STOPPING,
    KVPBUS_VM_STATE_FAILED, // too many items: no new keys until some are removed
};

// The state in words, "unknown" for another number. Static. Any thread.
const char *kvpbus_vm_state_text(uint32_t state);

struct kvpbus_vm {
    uint8_t guid[KVPBUS_GUID_BYTES]; // in the order of the text form
    char name[KVPBUS_VM_NAME_MAX + 1];
    enum kvpbus_vm_state state;
    bool exchange_enabled; // the Data Exchange integration service is switched on
};

// What became of one Add, Modify or Remove call.
struct kvpbus_call_result {
    uint32_t return_value; // enum kvpbus_return, or a number that is not listed
    bool had_job;
    enum kvpbus_job_state job_state; // with had_job
    uint32_t error_code;             // the job's ErrorCode
    int64_t hresult;                 // of the transport or within ErrorDescription; 0 none
    char description[160];           // ErrorDescription, cut; empty when there is none
};

enum kvpbus_operation { KVPBUS_OP_ADD, KVPBUS_OP_MODIFY, KVPBUS_OP_REMOVE };

struct kvpbus_management;

// Errors of each: KVPBUS_TIMEOUT: the deadline has passed; KVPBUS_STORE_GONE: there is no
// connection to the service; KVPBUS_ACCESS; KVPBUS_NOMEM; and what the service itself gives.
struct kvpbus_management_ops {
    // All VMs of the host. *vms is an array that the caller frees with free(), set with KVPBUS_OK.
    enum kvpbus_error (*list)(struct kvpbus_management *management, struct kvpbus_vm **vms,
                              size_t *count, struct kvpbus_failure *failure);

    // One query for the guest items of `count` VMs: scans[i] belongs to guids[i]; results[i] is
    // KVPBUS_OK, or KVPBUS_VM_UNKNOWN, KVPBUS_VM_OFF, KVPBUS_EXCHANGE_DISABLED, KVPBUS_STORE_GONE.
    enum kvpbus_error (*read_guest)(struct kvpbus_management *management, const char *prefix,
                                    const uint8_t (*guids)[KVPBUS_GUID_BYTES], size_t count,
                                    struct kvpbus_scan *scans, enum kvpbus_error *results,
                                    struct kvpbus_failure *failure);

    // The host items of one VM, also when it is off.
    enum kvpbus_error (*read_host)(struct kvpbus_management *management, const char *prefix,
                                   const uint8_t guid[KVPBUS_GUID_BYTES], struct kvpbus_scan *scan,
                                   struct kvpbus_failure *failure);

    // One call with 1 to KVPBUS_MANAGEMENT_BATCH items (for Remove the values are ignored), its job
    // followed to the end. KVPBUS_OK means that the service answered and *result says what; it is
    // not success of the operation. KVPBUS_TIMEOUT: the deadline passed, or the connection was lost
    // after the request had gone out, and the job may still run. Any other error: it was not made.
    enum kvpbus_error (*call)(struct kvpbus_management *management, enum kvpbus_operation operation,
                              const uint8_t guid[KVPBUS_GUID_BYTES],
                              const struct kvpbus_change *items, size_t count,
                              struct kvpbus_call_result *result, struct kvpbus_failure *failure);

    // Frees it, when no call is under way and every store made of it is closed.
    void (*close)(struct kvpbus_management *management);
};

struct kvpbus_management {
    const struct kvpbus_management_ops *ops;
};

// Connects to the management API of kvpbus-lab: at the path of its Unix socket, or, of a lab with
// --tcp, at 127.0.0.1:PORT (on Windows only that). `address` is copied. Tells at once, in 30 s at
// most, when there is no lab (KVPBUS_STORE_GONE), when it does not answer (KVPBUS_TIMEOUT), may not
// be reached (KVPBUS_ACCESS), or when `address` cannot be one (KVPBUS_INVALID_ARGUMENT). A call
// takes up to 30 s, its job included. Reconnects by itself after a lost connection; until then
// calls give KVPBUS_STORE_GONE. KVPBUS_PROTOCOL: the lab's answer makes no sense. Any thread.
enum kvpbus_error kvpbus_lab_management_open(const char *address,
                                             struct kvpbus_management **management,
                                             struct kvpbus_failure *failure);

// Where the management API over WMI is, and as whom. With zeros: this machine, the account that the
// program runs as, root\virtualization\v2.
struct kvpbus_wmi_options {
    const char *host;     // another host, over DCOM: its name or address
    const char *user;     // for another host: "DOMAIN\user" or "user@domain"; NULL: the program's
    const char *password; // with `user`
    bool old_namespace;   // root\virtualization, of hosts before Windows Server 2012
    bool guest_auto;      // guests may write under Auto: GuestIntrinsicExchangeItems are read too
    unsigned deadline_ms; // of a call, the wait for its job included; 0: 30 s
};

// The management API of a Hyper-V host over WMI; on Windows only. The strings are copied. Tells at
// once, in deadline_ms and the time of `close` at most, when there is no Hyper-V
// (KVPBUS_UNSUPPORTED) or no right to it (KVPBUS_ACCESS); KVPBUS_INVALID_ARGUMENT: a name that
// cannot be one, or credentials that are not whole. A call takes up to deadline_ms. One that finds
// the connection lost makes a new one, once; while there is none, calls give KVPBUS_STORE_GONE.
// Calls come from any thread, of whatever apartment; COM is used on threads of its own, at most 64:
// a call beyond waits for one, and gives KVPBUS_STORE_BUSY when none is free in time. A call that
// hangs keeps its thread after its caller has gone with KVPBUS_TIMEOUT; `close` waits for such 5 s
// at most.
enum kvpbus_error kvpbus_wmi_management_open(const struct kvpbus_wmi_options *options,
                                             struct kvpbus_management **management,
                                             struct kvpbus_failure *failure);

// One VM's store as the host sees it. Keeps a reference to `management`, which must outlive it.
// `read_own` remembers which keys exist, so that `write` makes at most one Add and one Modify call,
// or one Remove (puts before removals when a batch has both); on a collision (32773, 32779; fact
// sheet part 2) it reads back and tries once more what is then left to do.
//  - Calls to the service, each up to its deadline, one after the other: a read makes one; a write
//    one for each of Add, Modify and Remove that it needs, as a rule, and 13 at the very most: it
//    reads before when nothing is remembered, lists the VMs to tell why a call was refused, and
//    reads back after each of its two attempts. When the outcome of a call stays unknown no further
//    one is made.
//  - Errors of a read: those of the service, KVPBUS_VM_UNKNOWN, KVPBUS_VM_OFF,
//    KVPBUS_EXCHANGE_DISABLED. Results of a write: the same, KVPBUS_STORE_TOO_MANY,
//    KVPBUS_STORE_REJECTED, KVPBUS_STORE_BUSY, KVPBUS_STORE_UNKNOWN, KVPBUS_UNSUPPORTED.
enum kvpbus_error kvpbus_management_store_open(struct kvpbus_management *management,
                                               const uint8_t guid[KVPBUS_GUID_BYTES],
                                               const char *prefix, struct kvpbus_store **store);

// Finds a VM by its GUID or, where only one has it, by its display name, which is compared here and
// never becomes part of a query. KVPBUS_VM_UNKNOWN, KVPBUS_VM_AMBIGUOUS (the GUIDs are in
// *failure), or what listing gives, which is called once. *found is set with KVPBUS_OK. Any thread.
enum kvpbus_error kvpbus_management_find(struct kvpbus_management *management, const char *vm,
                                         struct kvpbus_vm *found, struct kvpbus_failure *failure);

// "12345678-9ABC-…" in capitals, as Msvm_ComputerSystem.Name has it. `text` holds
// KVPBUS_GUID_TEXT + 1 bytes. Any thread.
void kvpbus_guid_format(const uint8_t guid[KVPBUS_GUID_BYTES], char *text);

// Accepts either case, with or without braces. Returns false when the text is no GUID. Any thread.
bool kvpbus_guid_parse(const char *text, uint8_t guid[KVPBUS_GUID_BYTES]);

#ifdef __cplusplus
}
#endif

#endif
