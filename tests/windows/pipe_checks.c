// SPDX-License-Identifier: Apache-2.0
//
// pipe_checks.exe PIPE: clients of a service's pipe that send nonsense, hang, or are many. The
// service answers the next one as ever.
#include <string.h>
#include <windows.h>

#include "check.h"
#include "control_call.h"
#include "socket.h"
#include "windows_text.h"

enum { WITHIN = 10000, CROWD = 80 }; // the service takes 64 at once

static const char *path;

static bool answers(void)
{
    struct kvpbus_client *client = NULL;
    struct kvpbus_failure failure = {0};
    Kvpbus__Control__Request request = KVPBUS__CONTROL__REQUEST__INIT;
    Kvpbus__Control__StatusRequest status = KVPBUS__CONTROL__STATUS_REQUEST__INIT;
    Kvpbus__Control__Response *response = NULL;
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_STATUS;
    request.status = &status;
    bool answered = kvpbus_client_open(path, &client, &failure) == KVPBUS_OK &&
                    kvpbus_control_write(client, &request, &failure) == KVPBUS_OK &&
                    kvpbus_control_read(client, WITHIN, &response, &failure) == KVPBUS_OK &&
                    response->kind_case == KVPBUS__CONTROL__RESPONSE__KIND_PEERS;
    if (!answered)
        printf("%s\n", failure.detail);
    if (response != NULL)
        kvpbus__control__response__free_unpacked(response, NULL);
    kvpbus_client_close(client);
    return answered;
}

// What the service says to these bytes, until it hangs up; -1: it does not.
static long said_to(const uint8_t *bytes, size_t length)
{
    struct kvpbus_socket *socket;
    uint8_t answer[256];
    long said = 0;
    int64_t end = kvpbus_socket_now() + WITHIN;
    if (kvpbus_socket_open(path, &socket, NULL) != KVPBUS_OK)
        return -1;
    ptrdiff_t got = 0;
    for (size_t sent = 0; got >= 0;) {
        if (sent < length) {
            ptrdiff_t taken = kvpbus_socket_write(socket, bytes + sent, length - sent);
            sent = taken < 0 ? length : sent + (size_t)taken;
        }
        got = kvpbus_socket_read(socket, answer, sizeof answer);
        said += got > 0 ? (long)got : 0;
        if (got == 0 && !kvpbus_socket_wait(socket, sent < length, end))
            break;
    }
    kvpbus_socket_close(socket);
    return got < 0 ? said : -1;
}

static void check_nonsense(void)
{
    static uint8_t endless[1024 * 1024];
    static const uint8_t garbage[] = "\xff\xff\xff\xffGET / HTTP/1.1\r\n\r\n";
    static const uint8_t no_request[] = {0, 0, 0, 2, 0xff, 0xff};
    memset(endless, 0xee, sizeof endless);
    CHECK(said_to(garbage, sizeof garbage) >= 0);
    CHECK(answers());
    CHECK(said_to(endless, sizeof endless) >= 0);
    CHECK(answers());
    // A frame that is no request is told so; the connection may go on.
    CHECK(said_to(no_request, sizeof no_request) != 0);
    CHECK(answers());
}

static void check_crowd(void)
{
    static struct kvpbus_socket *sockets[CROWD];
    size_t opened = 0;
    for (size_t i = 0; i < CROWD; i++)
        opened += kvpbus_socket_open(path, &sockets[i], NULL) == KVPBUS_OK;
    CHECK(opened > 0);
    for (size_t i = 0; i < CROWD; i++)
        if (sockets[i] != NULL)
            kvpbus_socket_close(sockets[i]);
    bool answered = false;
    for (int tries = 0; !answered && tries < 100; tries++, Sleep(50))
        answered = answers();
    CHECK(answered);
}

static void check_names(void)
{
    struct kvpbus_socket *socket;
    struct kvpbus_failure failure = {0};
    CHECK(kvpbus_socket_open("\\\\.\\pipe\\kvpbus-nobody", &socket, &failure) == KVPBUS_NO_DAEMON);
    CHECK(failure.os_code == ERROR_FILE_NOT_FOUND);
    CHECK(kvpbus_socket_open("\\\\elsewhere\\pipe\\kvpbus-host", &socket, &failure) ==
          KVPBUS_INVALID_ARGUMENT);
    CHECK(kvpbus_socket_open("C:\\windows\\win.ini", &socket, &failure) == KVPBUS_INVALID_ARGUMENT);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    path = argv[argc - 1];
    CHECK(answers());
    check_nonsense();
    check_crowd();
    check_names();
    return checks_end();
}
