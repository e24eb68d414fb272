// SPDX-License-Identifier: Apache-2.0
//
// kvpbus-lab run: opens everything, says when it is ready, and takes it down again without leaving
// a process, a mount or a socket.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "program.h"
#include "run_options.h"

struct run {
    struct kvpbus_lab lab;
    uv_loop_t loop;
    uv_signal_t interrupt, terminate;
    char directory[PATH_MAX], socket[PATH_MAX];
    int lock;
    bool ready, ending, closed;
    int exit_code;
};

static enum kvpbus_error take_folder(struct run *run, const char *given,
                                     struct kvpbus_failure *failure)
{
    if (mkdir(given, 0755) != 0 && errno != EEXIST)
        return kvpbus_fail(failure, KVPBUS_IO, "cannot make the folder %s: %s", given,
                           strerror(errno));
    if (realpath(given, run->directory) == NULL)
        return kvpbus_fail(failure, KVPBUS_IO, "cannot use the folder %s: %s", given,
                           strerror(errno));
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/lab.lock", run->directory);
    run->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (run->lock < 0)
        return kvpbus_fail(failure, KVPBUS_IO, "cannot open %s: %s", path, strerror(errno));
    if (flock(run->lock, LOCK_EX | LOCK_NB) != 0)
        return kvpbus_fail(failure, KVPBUS_EXISTS, "a lab runs already in %s", run->directory);
    if ((size_t)snprintf(run->socket, sizeof run->socket, "%s/host.sock", run->directory) >=
        sizeof run->socket)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "the path %s is too long", given);
    return KVPBUS_OK;
}

static bool has_linux_guests(const struct kvpbus_lab_options *options)
{
    bool found = false;
    for (size_t i = 0; i < options->count; i++)
        found = found || !options->windows[i];
    return found;
}

static enum kvpbus_error check_machine(struct run *run, struct kvpbus_failure *failure)
{
    const char *daemon = run->lab.options.daemon;
    if (sodium_init() < 0)
        return kvpbus_fail(failure, KVPBUS_UNSUPPORTED, "libsodium cannot be used here");
    if (!has_linux_guests(&run->lab.options))
        return KVPBUS_OK;
    if (access(daemon, X_OK) != 0)
        return kvpbus_fail(failure, KVPBUS_UNSUPPORTED,
                           "%s cannot be run (%s): install the package hyperv-daemons", daemon,
                           strerror(errno));
    return kvpbus_lab_find_shim(run->lab.shim, sizeof run->lab.shim, failure);
}

static void close_all(struct run *run)
{
    if (run->closed)
        return;
    run->closed = true;
    kvpbus_lab_server_close(&run->lab);
    for (size_t i = 0; i < run->lab.vm_count; i++) {
        kvpbus_lab_vm_close(run->lab.vms[i]);
        unlink(run->lab.vms[i]->device);
    }
    uv_close((uv_handle_t *)&run->interrupt, NULL);
    uv_close((uv_handle_t *)&run->terminate, NULL);
}

static bool all_off(const struct run *run)
{
    for (size_t i = 0; i < run->lab.vm_count; i++)
        if (run->lab.vms[i]->state != KVPBUS_VM_STATE_OFF || run->lab.vms[i]->process.process)
            return false;
    return true;
}

static void end(struct run *run, int exit_code)
{
    if (run->ending)
        return;
    run->ending = true;
    run->exit_code = exit_code;
    for (size_t i = 0; i < run->lab.vm_count; i++) {
        run->lab.vms[i]->restart = false;
        kvpbus_lab_vm_stop(run->lab.vms[i], NULL);
    }
    if (all_off(run))
        close_all(run);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct run *run = handle->data;
    (void)number;
    end(run, KVPBUS_LAB_EXIT_OK);
}

static void say_ready(struct run *run)
{
    const char *first = run->lab.vms[0]->name;
    run->ready = true;
    printf("ready: %zu VM%s%s; management API at %s\n", run->lab.vm_count,
           run->lab.vm_count == 1 ? "" : "s", run->lab.options.stopped ? ", not started" : "",
           run->socket);
    printf("  kvpbus-host  --store lab:%s --state DIR\n", run->socket);
    if (run->lab.vms[0]->windows)
        printf("  kvpbus-lab-integration.exe 127.0.0.1:%u %s\n", kvpbus_lab_server_port(&run->lab),
               first);
    else
        printf("  kvpbus-guest --store pool:%s --state DIR\n", run->lab.vms[0]->pools);
    printf("  kvpbus-lab ctl %s list | reboot %s | fault %s KIND | stats\n", run->directory, first,
           first);
    fflush(stdout);
}

static void on_vm_changed(struct kvpbus_lab *lab, struct kvpbus_lab_vm *vm)
{
    struct run *run = lab->context;
    if (run->closed)
        return;
    if (run->ending) {
        if (all_off(run))
            close_all(run);
        return;
    }
    // A daemon that cannot be started at all is a fault of the machine, not of a VM.
    if (vm->broken && !run->ready) {
        fprintf(stderr,
                "kvpbus-lab: the daemon of %s could not be started; %s says why (mount namespaces "
                "need root or unprivileged user namespaces)\n",
                vm->name, vm->log);
        end(run, KVPBUS_LAB_EXIT_MACHINE);
        return;
    }
    for (size_t i = 0; i < lab->vm_count; i++)
        if (!kvpbus_lab_vm_settled(lab->vms[i]))
            return;
    if (!run->ready && lab->vm_count == lab->options.count)
        say_ready(run);
}

static enum kvpbus_error open_vms(struct run *run, struct kvpbus_failure *failure)
{
    struct kvpbus_lab *lab = &run->lab;
    for (size_t i = 0; i < lab->options.count; i++) {
        struct kvpbus_lab_vm *vm = NULL;
        enum kvpbus_error error =
            kvpbus_lab_vm_open(lab, lab->options.names[i], lab->options.windows[i], &vm, failure);
        if (vm != NULL)
            lab->vms[lab->vm_count++] = vm;
        if (error != KVPBUS_OK) {
            kvpbus_failure_wrap(failure, "VM %s", lab->options.names[i]);
            return error;
        }
    }
    return kvpbus_lab_server_open(lab, run->socket, failure);
}

static enum kvpbus_error start_vms(struct run *run, struct kvpbus_failure *failure)
{
    struct kvpbus_lab *lab = &run->lab;
    if (lab->options.stopped) {
        say_ready(run);
        return KVPBUS_OK;
    }
    for (size_t i = 0; i < lab->vm_count && !run->ending; i++) {
        enum kvpbus_error error = kvpbus_lab_vm_start(lab->vms[i], failure);
        if (error != KVPBUS_OK)
            return error;
    }
    return KVPBUS_OK;
}

static void watch_signal(struct run *run, uv_signal_t *handle, int number)
{
    uv_signal_init(&run->loop, handle);
    handle->data = run;
    uv_signal_start(handle, on_signal, number);
}

static int run_loop(struct run *run)
{
    struct kvpbus_failure failure = {0};
    uv_loop_init(&run->loop);
    run->lab.loop = &run->loop;
    kvpbus_lab_service_start(&run->lab);
    run->lab.vm_changed = on_vm_changed;
    run->lab.context = run;
    signal(SIGPIPE, SIG_IGN); // a client that is killed while it is answered
    watch_signal(run, &run->interrupt, SIGINT);
    watch_signal(run, &run->terminate, SIGTERM);
    enum kvpbus_error error = open_vms(run, &failure);
    if (error == KVPBUS_OK)
        error = start_vms(run, &failure);
    if (error != KVPBUS_OK)
        end(run, kvpbus_lab_report(&failure));
    uv_run(&run->loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < run->lab.vm_count; i++)
        kvpbus_lab_vm_free(run->lab.vms[i]);
    kvpbus_lab_jobs_free(&run->lab);
    kvpbus_lab_server_free(&run->lab);
    uv_loop_close(&run->loop);
    return run->exit_code;
}

int kvpbus_lab_run_command(int argc, char **argv)
{
    struct kvpbus_failure failure = {0};
    struct run *run = calloc(1, sizeof *run);
    if (run == NULL)
        return KVPBUS_LAB_EXIT_FAILURE;
    run->lock = -1;
    int status = kvpbus_lab_run_options(argc, argv, &run->lab.options);
    if (status == -1) {
        const char *given = run->lab.options.directory;
        run->lab.options.directory = run->directory;
        if (take_folder(run, given, &failure) != KVPBUS_OK ||
            check_machine(run, &failure) != KVPBUS_OK)
            status = kvpbus_lab_report(&failure);
        else
            status = run_loop(run);
    }
    if (run->lock >= 0)
        close(run->lock);
    free(run);
    return status;
}
