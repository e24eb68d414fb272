// SPDX-License-Identifier: Apache-2.0
//
// A VM's life: off → starting → running ⇄ failed, paused, saved, stopping → off. Its daemon comes
// and goes with it, and by faults; a Windows guest's integration service is sent away, and comes
// back by itself when it may.
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab.h"

enum {
    // A VM runs whether its daemon does or not: after this long it is up without.
    START_TIMEOUT_MS = 10000,
    // Between a crash of the daemon and its start by the guest's service manager.
    RESPAWN_MS = 500,
};

static void on_start_timer(uv_timer_t *timer);

static void enter(struct kvpbus_lab_vm *vm, enum kvpbus_vm_state state)
{
    vm->state = state;
    kvpbus_lab_vm_changed(vm);
}

static void become_running(struct kvpbus_lab_vm *vm)
{
    uv_timer_stop(&vm->timer);
    enter(vm, vm->overfull ? KVPBUS_VM_STATE_FAILED : KVPBUS_VM_STATE_RUNNING);
}

void kvpbus_lab_vm_changed(struct kvpbus_lab_vm *vm)
{
    struct kvpbus_lab *lab = vm->lab;
    kvpbus_lab_server_vm_changed(lab, vm);
    if (lab->vm_changed != NULL)
        lab->vm_changed(lab, vm);
}

static bool is_up(const struct kvpbus_lab_vm *vm)
{
    return vm->state == KVPBUS_VM_STATE_STARTING || vm->state == KVPBUS_VM_STATE_RUNNING ||
           vm->state == KVPBUS_VM_STATE_FAILED;
}

// Its processes are there and do not run.
static bool stands_still(const struct kvpbus_lab_vm *vm)
{
    return vm->state == KVPBUS_VM_STATE_PAUSED || vm->state == KVPBUS_VM_STATE_SAVED;
}

static void on_connected(void *context)
{
    struct kvpbus_lab_vm *vm = context;
    if (!vm->exchange_enabled) {
        if (vm->state == KVPBUS_VM_STATE_STARTING)
            become_running(vm);
        return;
    }
    kvpbus_lab_vm_wipe_at_boot(vm);
    if (!vm->pushed || vm->lab->options.push_at_reconnect)
        kvpbus_lab_push_start(vm);
    kvpbus_lab_jobs_pump(vm);
}

void kvpbus_lab_vm_pushed(struct kvpbus_lab_vm *vm)
{
    if (vm->state == KVPBUS_VM_STATE_STARTING)
        become_running(vm);
}

static void on_lost(void *context)
{
    struct kvpbus_lab_vm *vm = context;
    kvpbus_lab_jobs_pump(vm);
}

// The daemon's process has ended: by our hand, by a crash, or because it could not be started.
static void on_ended(void *context, int64_t status, int signal)
{
    struct kvpbus_lab_vm *vm = context;
    kvpbus_lab_daemon_line_reset(&vm->line);
    kvpbus_lab_driver_reset(&vm->driver);
    uv_timer_stop(&vm->stop_timer);
    bool wanted = !vm->stopping_daemon;
    vm->stopping_daemon = false;
    if (wanted &&
        (status == KVPBUS_LAB_EXIT_CANNOT_ENTER || status == KVPBUS_LAB_EXIT_CANNOT_EXECUTE)) {
        kvpbus_lab_log(vm, "the daemon cannot be started here: see %s", vm->log);
        vm->broken = true;
        vm->restart = false;
        vm->state = KVPBUS_VM_STATE_STOPPING;
    } else if (wanted) {
        kvpbus_lab_log(vm, "the daemon has ended (status %d, signal %d); it is started again",
                       (int)status, signal);
    }
    if (vm->state == KVPBUS_VM_STATE_STOPPING) {
        vm->restart = vm->restart && !vm->broken;
        enter(vm, KVPBUS_VM_STATE_OFF);
        if (vm->state == KVPBUS_VM_STATE_OFF && vm->restart) {
            struct kvpbus_failure failure;
            vm->restart = false;
            if (kvpbus_lab_vm_start(vm, &failure) != KVPBUS_OK) {
                kvpbus_lab_log(vm, "%s", failure.detail);
                kvpbus_lab_vm_changed(vm);
            }
        }
    } else if (wanted) {
        uv_timer_start(&vm->timer, on_start_timer, RESPAWN_MS, 0);
    } else {
        kvpbus_lab_vm_adjust_daemon(vm);
        if (vm->state == KVPBUS_VM_STATE_STARTING && vm->process.process == NULL)
            become_running(vm);
    }
}

static void spawn(struct kvpbus_lab_vm *vm)
{
    struct kvpbus_lab_guest_paths paths = {
        .pools = vm->pools,
        .device = vm->device,
        .log = vm->log,
        .daemon = vm->lab->options.daemon,
        .shim = vm->lab->shim,
    };
    struct kvpbus_failure failure;
    vm->stats.daemon_starts++;
    if (kvpbus_lab_guest_process_start(&vm->process, vm->lab->loop, &paths, &failure) !=
        KVPBUS_OK) {
        kvpbus_lab_log(vm, "%s", failure.detail);
        vm->broken = true;
    }
}

// The daemon is between two requests whenever it can be: killed in the middle of one it could lose
// its whole pool, which is a fault of its own and not part of a stop.
static void on_stop_timer(uv_timer_t *timer)
{
    enum { TICKS_QUIET = 200, TICKS_KILL = 400 };
    struct kvpbus_lab_vm *vm = timer->data;
    vm->stop_ticks++;
    if (vm->stop_ticks > TICKS_KILL)
        kvpbus_lab_guest_process_signal(&vm->process, SIGKILL);
    else if (!kvpbus_lab_driver_busy(&vm->driver) || vm->stop_ticks > TICKS_QUIET)
        kvpbus_lab_guest_process_signal(&vm->process, SIGTERM);
}

static void stop_daemon(struct kvpbus_lab_vm *vm)
{
    enum { TICK_MS = 5 };
    if (vm->stopping_daemon)
        return;
    vm->stopping_daemon = true;
    vm->stop_ticks = 0;
    kvpbus_lab_driver_freeze(&vm->driver, true);
    uv_timer_start(&vm->stop_timer, on_stop_timer, 0, TICK_MS);
}

bool kvpbus_lab_vm_wants_service(const struct kvpbus_lab_vm *vm)
{
    return is_up(vm) && !kvpbus_lab_fault_active(&vm->faults, KVPBUS_LAB_FAULT_DAEMON_ABSENT);
}

void kvpbus_lab_vm_adjust_daemon(struct kvpbus_lab_vm *vm)
{
    bool wanted = kvpbus_lab_vm_wants_service(vm);
    if (vm->windows) {
        if (!wanted && !stands_still(vm))
            kvpbus_lab_driver_reset(&vm->driver);
    } else if (wanted && vm->process.process == NULL)
        spawn(vm);
    else if (!wanted && vm->process.process != NULL && !stands_still(vm))
        stop_daemon(vm);
}

static void on_start_timer(uv_timer_t *timer)
{
    struct kvpbus_lab_vm *vm = timer->data;
    if (vm->process.process == NULL)
        kvpbus_lab_vm_adjust_daemon(vm);
    else if (vm->state == KVPBUS_VM_STATE_STARTING)
        kvpbus_lab_log(vm, "the daemon has not registered: see %s", vm->log);
    if (vm->state == KVPBUS_VM_STATE_STARTING)
        become_running(vm);
}

static enum kvpbus_error wrong_state(const struct kvpbus_lab_vm *vm, const char *action,
                                     struct kvpbus_failure *failure)
{
    return kvpbus_fail(failure, vm->state == KVPBUS_VM_STATE_OFF ? KVPBUS_VM_OFF : KVPBUS_BUSY,
                       "VM %s is %s: it cannot %s", vm->name, kvpbus_vm_state_text(vm->state),
                       action);
}

static void wake(struct kvpbus_lab_vm *vm)
{
    kvpbus_lab_guest_process_signal(&vm->process, SIGCONT);
    if (!vm->stopping_daemon)
        kvpbus_lab_driver_freeze(&vm->driver, false);
    kvpbus_lab_vm_adjust_daemon(vm);
}

// The memory is as it was, but the channel is offered anew: the host sends all it holds.
static void restore(struct kvpbus_lab_vm *vm)
{
    vm->pushed = false;
    vm->state = KVPBUS_VM_STATE_STARTING;
    wake(vm);
    if (!vm->exchange_enabled || !kvpbus_lab_driver_connected(&vm->driver)) {
        become_running(vm);
        return;
    }
    uv_timer_start(&vm->timer, on_start_timer, START_TIMEOUT_MS, 0);
    kvpbus_lab_push_start(vm);
}

enum kvpbus_error kvpbus_lab_vm_start(struct kvpbus_lab_vm *vm, struct kvpbus_failure *failure)
{
    if (vm->state == KVPBUS_VM_STATE_SAVED) {
        restore(vm);
        return KVPBUS_OK;
    }
    if (vm->state != KVPBUS_VM_STATE_OFF)
        return wrong_state(vm, "start", failure);
    enum kvpbus_error error = kvpbus_lab_vm_new_boot(vm, failure);
    if (error != KVPBUS_OK)
        return error;
    vm->pushed = false;
    vm->broken = false;
    vm->stats.starts++;
    vm->state = KVPBUS_VM_STATE_STARTING;
    kvpbus_lab_vm_adjust_daemon(vm);
    if (vm->broken) {
        vm->state = KVPBUS_VM_STATE_OFF;
        return kvpbus_fail(failure, KVPBUS_IO, "VM %s: its daemon cannot be started", vm->name);
    }
    if (vm->process.process == NULL)
        become_running(vm);
    else
        uv_timer_start(&vm->timer, on_start_timer, START_TIMEOUT_MS, 0);
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_lab_vm_stop(struct kvpbus_lab_vm *vm, struct kvpbus_failure *failure)
{
    if (vm->state == KVPBUS_VM_STATE_OFF || vm->state == KVPBUS_VM_STATE_STOPPING)
        return wrong_state(vm, "stop", failure);
    bool paused = stands_still(vm);
    uv_timer_stop(&vm->timer);
    vm->state = KVPBUS_VM_STATE_STOPPING;
    if (vm->process.process == NULL) {
        kvpbus_lab_driver_reset(&vm->driver);
        enter(vm, KVPBUS_VM_STATE_OFF);
        return KVPBUS_OK;
    }
    if (paused)
        kvpbus_lab_guest_process_signal(&vm->process, SIGCONT);
    stop_daemon(vm);
    kvpbus_lab_vm_changed(vm);
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_lab_vm_reboot(struct kvpbus_lab_vm *vm, struct kvpbus_failure *failure)
{
    if (vm->state == KVPBUS_VM_STATE_OFF || vm->state == KVPBUS_VM_STATE_STOPPING)
        return wrong_state(vm, "reboot", failure);
    vm->restart = true;
    enum kvpbus_error error = kvpbus_lab_vm_stop(vm, failure);
    if (error == KVPBUS_OK && vm->state == KVPBUS_VM_STATE_OFF) {
        vm->restart = false;
        error = kvpbus_lab_vm_start(vm, failure);
    }
    return error;
}

static enum kvpbus_error stand_still(struct kvpbus_lab_vm *vm, enum kvpbus_vm_state state,
                                     const char *action, struct kvpbus_failure *failure)
{
    if (vm->state != KVPBUS_VM_STATE_RUNNING && vm->state != KVPBUS_VM_STATE_FAILED)
        return wrong_state(vm, action, failure);
    kvpbus_lab_driver_freeze(&vm->driver, true);
    kvpbus_lab_guest_process_signal(&vm->process, SIGSTOP);
    enter(vm, state);
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_lab_vm_pause(struct kvpbus_lab_vm *vm, struct kvpbus_failure *failure)
{
    return stand_still(vm, KVPBUS_VM_STATE_PAUSED, "pause", failure);
}

enum kvpbus_error kvpbus_lab_vm_save(struct kvpbus_lab_vm *vm, struct kvpbus_failure *failure)
{
    return stand_still(vm, KVPBUS_VM_STATE_SAVED, "be saved", failure);
}

enum kvpbus_error kvpbus_lab_vm_resume(struct kvpbus_lab_vm *vm, struct kvpbus_failure *failure)
{
    if (vm->state != KVPBUS_VM_STATE_PAUSED)
        return wrong_state(vm, "resume", failure);
    become_running(vm);
    wake(vm);
    kvpbus_lab_jobs_pump(vm);
    return KVPBUS_OK;
}

bool kvpbus_lab_vm_settled(const struct kvpbus_lab_vm *vm)
{
    return vm->state != KVPBUS_VM_STATE_STARTING && vm->state != KVPBUS_VM_STATE_STOPPING &&
           !vm->restart;
}

void kvpbus_lab_vm_set_overfull(struct kvpbus_lab_vm *vm, bool overfull)
{
    if (vm->overfull == overfull)
        return;
    vm->overfull = overfull;
    if (vm->state == KVPBUS_VM_STATE_RUNNING || vm->state == KVPBUS_VM_STATE_FAILED)
        become_running(vm);
}

static void init_timer(struct kvpbus_lab_vm *vm, uv_timer_t *timer)
{
    uv_timer_init(vm->lab->loop, timer);
    timer->data = vm;
}

enum kvpbus_error kvpbus_lab_vm_open(struct kvpbus_lab *lab, const char *name, bool windows,
                                     struct kvpbus_lab_vm **out, struct kvpbus_failure *failure)
{
    assert(strlen(name) <= KVPBUS_LAB_NAME_MAX);
    struct kvpbus_lab_vm *vm = calloc(1, sizeof *vm);
    if (vm == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "VM %s", name);
    *out = vm;
    vm->lab = lab;
    snprintf(vm->name, sizeof vm->name, "%s", name);
    vm->windows = windows;
    vm->exchange_enabled = true;
    vm->host_items.limit = KVPBUS_LAB_ITEMS_MAX;
    vm->last_read.limit = KVPBUS_LAB_ITEMS_MAX;
    vm->process.ended = on_ended;
    vm->process.context = vm;
    init_timer(vm, &vm->timer);
    init_timer(vm, &vm->stop_timer);
    init_timer(vm, &vm->job_timer);
    init_timer(vm, &vm->cache_timer);
    enum kvpbus_error error = kvpbus_lab_vm_prepare(vm, failure);
    if (error == KVPBUS_OK)
        error = kvpbus_lab_items_load(&vm->host_items, vm->items_file, failure);
    if (error == KVPBUS_OK)
        kvpbus_lab_checkpoints_find(vm);
    struct kvpbus_lab_driver_events events = {
        .connected = on_connected, .lost = on_lost, .context = vm};
    if (error == KVPBUS_OK)
        error = kvpbus_lab_driver_open(&vm->driver, lab->loop, events, failure);
    if (error == KVPBUS_OK && !windows)
        error = kvpbus_lab_daemon_line_open(&vm->line, lab->loop, vm->device, &vm->driver, failure);
    if (error == KVPBUS_OK)
        kvpbus_lab_read_cache_start(vm);
    return error;
}

void kvpbus_lab_vm_close(struct kvpbus_lab_vm *vm)
{
    assert(vm->process.process == NULL);
    kvpbus_lab_vm_save_items(vm);
    kvpbus_lab_daemon_line_close(&vm->line);
    kvpbus_lab_driver_close(&vm->driver);
    uv_close((uv_handle_t *)&vm->timer, NULL);
    uv_close((uv_handle_t *)&vm->stop_timer, NULL);
    uv_close((uv_handle_t *)&vm->job_timer, NULL);
    uv_close((uv_handle_t *)&vm->cache_timer, NULL);
}

void kvpbus_lab_vm_free(struct kvpbus_lab_vm *vm)
{
    kvpbus_lab_items_free(&vm->host_items);
    kvpbus_lab_items_free(&vm->last_read);
    free(vm);
}

struct kvpbus_lab_vm *kvpbus_lab_vm_by_guid(struct kvpbus_lab *lab, const uint8_t *guid,
                                            size_t length)
{
    for (size_t i = 0; length == KVPBUS_GUID_BYTES && i < lab->vm_count; i++)
        if (memcmp(lab->vms[i]->guid, guid, KVPBUS_GUID_BYTES) == 0)
            return lab->vms[i];
    return NULL;
}

struct kvpbus_lab_vm *kvpbus_lab_vm_by_name(struct kvpbus_lab *lab, const char *name)
{
    uint8_t guid[KVPBUS_GUID_BYTES];
    for (size_t i = 0; i < lab->vm_count; i++)
        if (strcmp(lab->vms[i]->name, name) == 0)
            return lab->vms[i];
    return kvpbus_guid_parse(name, guid) ? kvpbus_lab_vm_by_guid(lab, guid, sizeof guid) : NULL;
}
