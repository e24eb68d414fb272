// SPDX-License-Identifier: Apache-2.0
//
// The lab in one process and on one loop: its options, its VMs, and what ties the parts together.
// Nothing here is used from another thread.
//
//   server.c, requests.c   the management API on DIR/host.sock, and on the loopback
//   service.c              how that API's service is, for clients that come through it
//   job.c                  Add, Modify, Remove: jobs over the host items
//   guest_read.c           the guest's items, by enumeration
//   vm.c, vm_push.c        start, stop, reboot; host items to the guest when it connects
//   vm_disk.c              checkpoint, revert, clone, import
//   driver.c               the line to the service in the guest, and what waits for it
//   daemon_line.c, message.c  the kernel's side of the daemon's protocol
//   guest_process.c        the real daemon in its namespace
//   guest_service.c        the integration service of a Windows guest
#ifndef KVPBUS_LAB_LAB_H
#define KVPBUS_LAB_LAB_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "daemon_line.h"
#include "fault.h"
#include "guest_process.h"
#include "items.h"
#include "kvpbus/management.h"
#include "stats.h"

enum {
    KVPBUS_LAB_VMS_MAX = 256,
    KVPBUS_LAB_NAME_MAX = 64,
    KVPBUS_LAB_ITEMS_MAX = 1024, // greatest limit of items of either side
    KVPBUS_LAB_QUEUE_MAX = 16,   // jobs that wait at one VM
    KVPBUS_LAB_JOBS_MAX = 2048,  // jobs that are remembered
    // Checkpoints of a VM of which clients are told; more can be made.
    KVPBUS_LAB_CHECKPOINTS_MAX = 16,
    KVPBUS_LAB_UUID_TEXT = 37,
};

// What becomes of the text of the host's values.
enum kvpbus_lab_item_text {
    KVPBUS_LAB_TEXT_EXACT,
    KVPBUS_LAB_TEXT_TRIMMED, // blanks at both ends are gone
    KVPBUS_LAB_TEXT_ESCAPED, // & < > are references, as if escaped once too often
};

// How this lab behaves; the fact sheet leaves open which of these a real host does.
struct kvpbus_lab_options {
    const char *directory; // absolute
    const char *names[KVPBUS_LAB_VMS_MAX];
    bool windows[KVPBUS_LAB_VMS_MAX]; // those of them that have Windows guests
    size_t count;
    const char *daemon;      // path of hv_kvp_daemon
    const char *same_name;   // of all VMs in the management API; NULL: each has its own
    uint32_t item_limit;     // host items of a VM before it goes to the failed state
    uint32_t guest_limit;    // guest items that the host enumerates
    uint32_t guest_cache_ms; // 0: each read asks the guest
    uint32_t latency_ms;     // of each request
    uint32_t job_latency_ms; // of each job
    uint32_t modify_missing; // return code: 32773 or 32779
    uint32_t remove_missing; // return code: 0 or 32773
    uint32_t value_limit;    // UTF-16 units of the longest value that is accepted
    uint32_t too_long;       // return code for a longer one: 32773 or 32768
    uint32_t exchange_off;   // what calls give while Data Exchange is off: 32775, 32777; 0: kept
    enum kvpbus_lab_item_text item_text;
    bool skip_unchanged;     // a Modify that changes nothing is not sent to the guest
    bool sort_guest;         // the guest's items are enumerated by their keys
    bool atomic;             // a batch is checked whole before any of it is done
    bool drop_failed;        // an item that the guest did not take is not kept either
    bool revert_keeps_items; // the host items stay as they are when a VM is reverted
    bool push_at_reconnect;  // host items are sent again also within one boot
    bool stopped;            // the VMs are not started
    bool tcp;                // the management API is served on the loopback too
};

// How the management service is, for clients that come through it.
enum kvpbus_lab_service_state {
    KVPBUS_LAB_SERVICE_NORMAL,
    KVPBUS_LAB_SERVICE_RESTARTED, // for an instant
    KVPBUS_LAB_SERVICE_STOPPED,
    KVPBUS_LAB_SERVICE_DENIES,
    KVPBUS_LAB_SERVICE_ABSENT,
    KVPBUS_LAB_SERVICE_HIDES,
    KVPBUS_LAB_SERVICE_STATES,
};

struct kvpbus_lab;
struct kvpbus_lab_connection;
struct kvpbus_lab_job;
struct kvpbus_lab_server;

// The part of a VM's start that sends what the host holds; see vm_push.c.
struct kvpbus_lab_push {
    struct kvpbus_lab_request request;
    size_t next;
    bool active;
};

struct kvpbus_lab_vm {
    struct kvpbus_lab *lab;
    char name[KVPBUS_LAB_NAME_MAX + 1];
    uint8_t guid[KVPBUS_GUID_BYTES];
    bool windows; // its guest has an integration service, which comes by itself, and no daemon
    char boot_id[KVPBUS_LAB_UUID_TEXT];
    char directory[PATH_MAX], pools[PATH_MAX], device[PATH_MAX], log[PATH_MAX],
        items_file[PATH_MAX];

    enum kvpbus_vm_state state;
    bool exchange_enabled;
    bool overfull; // the limit of items was hit and none has been removed since
    bool pushed;   // this boot's daemon has been given the host items
    bool restart;  // to be started when it has stopped
    bool broken;   // the daemon cannot be started on this machine
    bool stopping_daemon;
    unsigned stop_ticks;

    struct kvpbus_lab_driver driver;
    struct kvpbus_lab_daemon_line line;
    struct kvpbus_lab_guest_process process;
    struct kvpbus_lab_connection *service; // with `windows`; NULL: it is not there
    struct kvpbus_lab_push push;
    uv_timer_t timer;       // of start
    uv_timer_t stop_timer;  // of stopping the daemon
    uv_timer_t job_timer;   // a job's latency
    uv_timer_t cache_timer; // refreshes the cached read

    char checkpoints[KVPBUS_LAB_CHECKPOINTS_MAX][KVPBUS_LAB_NAME_MAX + 1];
    size_t checkpoint_count;

    struct kvpbus_lab_items host_items;
    bool host_items_changed; // since the file was written
    struct kvpbus_lab_items last_read;
    bool has_last_read, reading_cache, second_half;

    struct kvpbus_lab_job *queue_head, *queue_tail; // the head is the one that runs
    size_t queue_length;
    struct kvpbus_lab_request job_request;

    struct kvpbus_lab_faults faults;
    struct kvpbus_lab_stats stats;
};

struct kvpbus_lab {
    uv_loop_t *loop;
    struct kvpbus_lab_options options;
    char shim[PATH_MAX];
    struct kvpbus_lab_vm *vms[KVPBUS_LAB_VMS_MAX];
    size_t vm_count;
    struct kvpbus_lab_job *jobs[KVPBUS_LAB_JOBS_MAX]; // by id modulo the size
    uint64_t last_job;
    uint64_t forgotten_jobs; // up to this one, by a restart of the service, for its own clients
    enum kvpbus_lab_service_state service;
    uint64_t incarnation; // of the service
    struct kvpbus_lab_server *server;
    // A VM's state has changed; `context` is for whoever runs the lab.
    void (*vm_changed)(struct kvpbus_lab *lab, struct kvpbus_lab_vm *vm);
    void *context;
};

// vm.c ----------------------------------------------------------------------------------------

// Makes or finds the VM's folder and identity, reads its host items and listens for its daemon. It
// is off. *vm is set also on an error when there is something to close.
enum kvpbus_error kvpbus_lab_vm_open(struct kvpbus_lab *lab, const char *name, bool windows,
                                     struct kvpbus_lab_vm **vm, struct kvpbus_failure *failure);

// Releases the handles; the memory goes with kvpbus_lab_vm_free, when the loop has ended.
void kvpbus_lab_vm_close(struct kvpbus_lab_vm *vm);
void kvpbus_lab_vm_free(struct kvpbus_lab_vm *vm);

struct kvpbus_lab_vm *kvpbus_lab_vm_by_guid(struct kvpbus_lab *lab, const uint8_t *guid,
                                            size_t length);
// By name or by GUID as text.
struct kvpbus_lab_vm *kvpbus_lab_vm_by_name(struct kvpbus_lab *lab, const char *name);

// Begin an action; the VM gets there later (kvpbus_lab_vm_settled). In a state in which the action
// makes no sense: KVPBUS_VM_OFF or KVPBUS_BUSY with the state in the detail.
enum kvpbus_error kvpbus_lab_vm_start(struct kvpbus_lab_vm *vm, struct kvpbus_failure *failure);
enum kvpbus_error kvpbus_lab_vm_stop(struct kvpbus_lab_vm *vm, struct kvpbus_failure *failure);
enum kvpbus_error kvpbus_lab_vm_reboot(struct kvpbus_lab_vm *vm, struct kvpbus_failure *failure);
enum kvpbus_error kvpbus_lab_vm_pause(struct kvpbus_lab_vm *vm, struct kvpbus_failure *failure);
enum kvpbus_error kvpbus_lab_vm_resume(struct kvpbus_lab_vm *vm, struct kvpbus_failure *failure);
// A start goes on from there, within the same boot, and the host sends its items anew.
enum kvpbus_error kvpbus_lab_vm_save(struct kvpbus_lab_vm *vm, struct kvpbus_failure *failure);

// Off, running, paused, saved or failed, and not on its way to another state.
bool kvpbus_lab_vm_settled(const struct kvpbus_lab_vm *vm);

// The limit of items was hit, or items were removed after it: adjusts the state.
void kvpbus_lab_vm_set_overfull(struct kvpbus_lab_vm *vm, bool overfull);

// vm_fault.c: puts a fault in force, or does at once what its kind says.
enum kvpbus_error kvpbus_lab_vm_fault(struct kvpbus_lab_vm *vm, enum kvpbus_lab_fault fault,
                                      int64_t value, uint32_t count,
                                      struct kvpbus_failure *failure);

// Empties a pool at the first connection of a boot, when the VM has the fault wipe-at-boot.
void kvpbus_lab_vm_wipe_at_boot(struct kvpbus_lab_vm *vm);

// Cuts a value on its way when the VM has the fault cut-value.
void kvpbus_lab_vm_cut(struct kvpbus_lab_vm *vm, char *value);

// The guest's daemon or integration service is to run, by the state and faults of the VM.
bool kvpbus_lab_vm_wants_service(const struct kvpbus_lab_vm *vm);

// Starts or stops the daemon, or sends the integration service away, as the above says.
void kvpbus_lab_vm_adjust_daemon(struct kvpbus_lab_vm *vm);

// Tells whoever waits that the state may have changed.
void kvpbus_lab_vm_changed(struct kvpbus_lab_vm *vm);

// vm_files.c ----------------------------------------------------------------------------------

// Fills in the VM's paths and makes its folders; reads or makes its GUID.
enum kvpbus_error kvpbus_lab_vm_prepare(struct kvpbus_lab_vm *vm, struct kvpbus_failure *failure);

// Gives the VM another GUID, as an import does.
enum kvpbus_error kvpbus_lab_vm_new_guid(struct kvpbus_lab_vm *vm, struct kvpbus_failure *failure);

// A name is also that of a folder, and must not look like an option or a path.
bool kvpbus_lab_name_valid(const char *name);

// Makes a new boot id and writes it to DIR/vm/NAME/boot-id.
enum kvpbus_error kvpbus_lab_vm_new_boot(struct kvpbus_lab_vm *vm, struct kvpbus_failure *failure);

// Writes the host items when they have changed; an error is logged.
void kvpbus_lab_vm_save_items(struct kvpbus_lab_vm *vm);

// vm_disk.c -----------------------------------------------------------------------------------

// Of a VM that is off, else KVPBUS_BUSY. A clone is another VM with the same disk and another GUID;
// an import, whose name is not looked at, is the same VM with another one.
enum kvpbus_error kvpbus_lab_vm_checkpoint(struct kvpbus_lab_vm *vm, const char *name,
                                           struct kvpbus_failure *failure);
enum kvpbus_error kvpbus_lab_vm_revert(struct kvpbus_lab_vm *vm, const char *name,
                                       struct kvpbus_failure *failure);
enum kvpbus_error kvpbus_lab_vm_clone(struct kvpbus_lab_vm *vm, const char *name,
                                      struct kvpbus_failure *failure);
enum kvpbus_error kvpbus_lab_vm_import(struct kvpbus_lab_vm *vm, const char *name,
                                       struct kvpbus_failure *failure);

// checkpoint.c --------------------------------------------------------------------------------

// Notes those of the VM's folder, or one that has been made.
void kvpbus_lab_checkpoints_find(struct kvpbus_lab_vm *vm);
void kvpbus_lab_checkpoint_add(struct kvpbus_lab_vm *vm, const char *name);

void kvpbus_lab_checkpoint_guid(const struct kvpbus_lab_vm *vm, size_t index, uint8_t *guid);

// The host items of the checkpoint with a GUID, in *items, which the caller frees.
// KVPBUS_VM_UNKNOWN when it is not that of one.
enum kvpbus_error kvpbus_lab_checkpoint_items(const struct kvpbus_lab *lab, const uint8_t *guid,
                                              size_t length, struct kvpbus_lab_items *items,
                                              struct kvpbus_failure *failure);

// vm_push.c -----------------------------------------------------------------------------------

// Sends pool 3 and all host items to the guest; `vm->pushed` and kvpbus_lab_vm_pushed tell the end.
void kvpbus_lab_push_start(struct kvpbus_lab_vm *vm);
void kvpbus_lab_vm_pushed(struct kvpbus_lab_vm *vm);

// job.c ---------------------------------------------------------------------------------------

struct kvpbus_lab_outcome {
    uint32_t return_value;
    uint64_t job; // 0: none
    enum kvpbus_job_state state;
    uint32_t error_code;
    int64_t hresult;
    char description[160];
};

// One call of the service. The items are copied.
void kvpbus_lab_call(struct kvpbus_lab_vm *vm, enum kvpbus_operation operation,
                     const struct kvpbus_lab_item *items, size_t count,
                     struct kvpbus_lab_outcome *outcome);

// The present state of a job. False when it is not known (any more).
bool kvpbus_lab_job_outcome(const struct kvpbus_lab *lab, uint64_t id,
                            struct kvpbus_lab_outcome *outcome);

// Goes on with the VM's queue, after something that a job waited for.
void kvpbus_lab_jobs_pump(struct kvpbus_lab_vm *vm);

void kvpbus_lab_jobs_free(struct kvpbus_lab *lab);

// guest_read.c --------------------------------------------------------------------------------

// Receives the result, once: KVPBUS_OK with the items, which live during the call, or
// KVPBUS_VM_OFF, KVPBUS_EXCHANGE_DISABLED, KVPBUS_STORE_GONE, KVPBUS_NOMEM.
typedef void kvpbus_lab_read_done(void *context, enum kvpbus_error error,
                                  const struct kvpbus_lab_item *items, size_t count);

// Reads the guest's items, those of its programs (pool 1) or those of its system (pool 2); `done`
// may be called before this returns.
void kvpbus_lab_read_guest(struct kvpbus_lab_vm *vm, bool intrinsic, kvpbus_lab_read_done *done,
                           void *context);

// Begins to refresh the cached copy, if the options say so.
void kvpbus_lab_read_cache_start(struct kvpbus_lab_vm *vm);

// service.c -----------------------------------------------------------------------------------

// The service's first incarnation, another one in each lab.
void kvpbus_lab_service_start(struct kvpbus_lab *lab);

// False when there is no such state.
bool kvpbus_lab_service_set(struct kvpbus_lab *lab, uint32_t state);

// Why the service refuses a request that comes through it and expects an incarnation, 0: any.
// KVPBUS_LAB_SERVICE_NORMAL: it does not.
enum kvpbus_lab_service_state kvpbus_lab_service_refusal(const struct kvpbus_lab *lab,
                                                         uint64_t incarnation);

// The state that a word of the command line names: "restart", "stop", "deny", "absent", "hide",
// "normal".
bool kvpbus_lab_service_parse(const char *word, uint32_t *state);

// server.c ------------------------------------------------------------------------------------

enum kvpbus_error kvpbus_lab_server_open(struct kvpbus_lab *lab, const char *socket_path,
                                         struct kvpbus_failure *failure);
// The port of the loopback, 0 without one.
unsigned kvpbus_lab_server_port(const struct kvpbus_lab *lab);
void kvpbus_lab_server_close(struct kvpbus_lab *lab);
void kvpbus_lab_server_free(struct kvpbus_lab *lab);

// A job has ended; a VM may have settled: answers whoever waits for it.
void kvpbus_lab_server_job_ended(struct kvpbus_lab *lab, uint64_t job);
void kvpbus_lab_server_vm_changed(struct kvpbus_lab *lab, struct kvpbus_lab_vm *vm);

// log.c: a line on standard error, "kvpbus-lab: VM alpha: …".
__attribute__((format(printf, 2, 3))) void kvpbus_lab_log(const struct kvpbus_lab_vm *vm,
                                                          const char *format, ...);

#endif
