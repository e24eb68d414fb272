// SPDX-License-Identifier: Apache-2.0
#include "control_listener.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "socket.h"

enum { SOCKET_MODE = 0660, BACKLOG = 16 };

struct control_listener {
    uv_pipe_t pipe;
    control_waiting_fn *waiting;
    void *context;
    char path[KVPBUS_SOCKET_PATH];
};

static_assert((size_t)KVPBUS_SOCKET_PATH == sizeof(((struct sockaddr_un *)0)->sun_path),
              "a path that fits here fits the system");

static void on_connection(uv_stream_t *stream, int status)
{
    struct control_listener *listener = stream->data;
    if (status >= 0)
        listener->waiting(listener->context);
}

// A socket that nobody answers is left over from a crash; the state folder's lock is ours, so no
// other service of this state uses it.
static void remove_stale(const char *path)
{
    struct stat status;
    if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode))
        unlink(path);
}

enum kvpbus_error control_listener_check(const char *path, struct kvpbus_failure *failure)
{
    return strlen(path) < KVPBUS_SOCKET_PATH
               ? KVPBUS_OK
               : kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                             "the socket path %.60s... is longer than %d characters", path,
                             KVPBUS_SOCKET_PATH - 1);
}

enum kvpbus_error control_listener_open(uv_loop_t *loop, const char *path,
                                        control_waiting_fn *waiting, void *context,
                                        struct control_listener **out,
                                        struct kvpbus_failure *failure)
{
    enum kvpbus_error error = control_listener_check(path, failure);
    if (error != KVPBUS_OK)
        return error;
    struct control_listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory");
    listener->waiting = waiting;
    listener->context = context;
    uv_pipe_init(loop, &listener->pipe, 0);
    listener->pipe.data = listener;
    remove_stale(path);
    mode_t before = umask(0777 & ~SOCKET_MODE);
    int status = uv_pipe_bind(&listener->pipe, path);
    umask(before);
    if (status == 0)
        status = uv_listen((uv_stream_t *)&listener->pipe, BACKLOG, on_connection);
    if (status != 0) {
        kvpbus_fail(failure, KVPBUS_IO, "cannot listen on the socket %s: %s", path,
                    uv_strerror(status));
        control_listener_close(listener);
        return KVPBUS_IO;
    }
    strcpy(listener->path, path);
    *out = listener;
    return KVPBUS_OK;
}

int control_listener_take(struct control_listener *listener, uv_pipe_t *pipe)
{
    return uv_accept((uv_stream_t *)&listener->pipe, (uv_stream_t *)pipe);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void control_listener_close(struct control_listener *listener)
{
    if (listener->path[0] != '\0')
        unlink(listener->path);
    uv_close((uv_handle_t *)&listener->pipe, on_closed);
}

bool control_listener_user(const uv_pipe_t *pipe, char text[CONTROL_USER_TEXT], bool *owner)
{
    struct ucred user;
    socklen_t length = sizeof user;
    uv_os_fd_t file;
    if (uv_fileno((const uv_handle_t *)pipe, &file) != 0 ||
        getsockopt(file, SOL_SOCKET, SO_PEERCRED, &user, &length) != 0)
        return false;
    snprintf(text, CONTROL_USER_TEXT, "uid %u", (unsigned)user.uid);
    *owner = user.uid == 0 || user.uid == geteuid();
    return true;
}
