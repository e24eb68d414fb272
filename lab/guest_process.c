// SPDX-License-Identifier: Apache-2.0
#include "guest_process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHIM_NAME "kvpbus-lab-device.so"

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void on_exit_of_process(uv_process_t *process, int64_t status, int signal)
{
    struct kvpbus_lab_guest_process *guest = process->data;
    guest->process = NULL;
    uv_close((uv_handle_t *)process, free_handle);
    guest->ended(guest->context, status, signal);
}

static int spawn(uv_loop_t *loop, uv_process_t *process, int log,
                 const struct kvpbus_lab_guest_paths *paths)
{
    char self[PATH_MAX];
    size_t self_size = sizeof self;
    int status = uv_exepath(self, &self_size);
    if (status != 0)
        return status;
    char parent[16], device[PATH_MAX + sizeof KVPBUS_LAB_DEVICE_VARIABLE], preload[PATH_MAX + 16];
    snprintf(parent, sizeof parent, "%d", (int)getpid());
    snprintf(device, sizeof device, "%s=%s", KVPBUS_LAB_DEVICE_VARIABLE, paths->device);
    // Under another name until the daemon's own exec: this program does not want it.
    snprintf(preload, sizeof preload, "KVPBUS_LAB_PRELOAD=%s", paths->shim);
    char *arguments[] = {(char[]){"kvpbus-lab"},
                         (char[]){KVPBUS_LAB_GUEST_ENTRY},
                         parent,
                         (char *)paths->pools,
                         (char *)paths->daemon,
                         NULL};
    char *environment[] = {(char[]){"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, (char[]){"LC_ALL=C"},
                           device, preload, NULL};
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = log},
        {.flags = UV_INHERIT_FD, .data.fd = log},
    };
    uv_process_options_t options = {
        .exit_cb = on_exit_of_process,
        .file = self,
        .args = arguments,
        .env = environment,
        // A Ctrl-C on the terminal is the lab's to handle, not the guests'.
        .flags = UV_PROCESS_DETACHED,
        .stdio_count = 3,
        .stdio = stdio,
    };
    return uv_spawn(loop, process, &options);
}

enum kvpbus_error kvpbus_lab_guest_process_start(struct kvpbus_lab_guest_process *guest,
                                                 uv_loop_t *loop,
                                                 const struct kvpbus_lab_guest_paths *paths,
                                                 struct kvpbus_failure *failure)
{
    int log = open(paths->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log < 0)
        return kvpbus_fail(failure, KVPBUS_IO, "cannot open %s: %s", paths->log, strerror(errno));
    uv_process_t *process = calloc(1, sizeof *process);
    if (process == NULL) {
        close(log);
        return kvpbus_fail(failure, KVPBUS_NOMEM, "starting %s", paths->daemon);
    }
    process->data = guest;
    int status = spawn(loop, process, log, paths);
    close(log);
    if (status != 0) {
        uv_close((uv_handle_t *)process, free_handle);
        return kvpbus_fail(failure, KVPBUS_IO, "cannot start %s: %s", paths->daemon,
                           uv_strerror(status));
    }
    guest->process = process;
    return KVPBUS_OK;
}

void kvpbus_lab_guest_process_signal(struct kvpbus_lab_guest_process *guest, int signal)
{
    if (guest->process != NULL)
        uv_process_kill(guest->process, signal);
}

enum kvpbus_error kvpbus_lab_find_shim(char *path, size_t size, struct kvpbus_failure *failure)
{
    const char *given = getenv("KVPBUS_LAB_SHIM");
    if (given != NULL) {
        snprintf(path, size, "%s", given);
        if (access(path, R_OK) == 0)
            return KVPBUS_OK;
        return kvpbus_fail(failure, KVPBUS_NOT_FOUND, "KVPBUS_LAB_SHIM names no file: %s", given);
    }
    char folder[PATH_MAX];
    size_t length = sizeof folder;
    if (uv_exepath(folder, &length) != 0)
        return kvpbus_fail(failure, KVPBUS_IO, "cannot tell where this program is");
    char *slash = strrchr(folder, '/');
    if (slash != NULL)
        *slash = '\0';
    static const char *const places[] = {"", "../lib/kvpbus/"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int written = snprintf(path, size, "%s/%s%s", folder, places[i], SHIM_NAME);
        if (written > 0 && (size_t)written < size && access(path, R_OK) == 0)
            return KVPBUS_OK;
    }
    return kvpbus_fail(failure, KVPBUS_NOT_FOUND,
                       "%s is not beside kvpbus-lab in %s: build or install it whole", SHIM_NAME,
                       folder);
}
