// SPDX-License-Identifier: Apache-2.0
//
// pipe_checks.exe PIPE: clients of a service's pipe that send nonsense, hang, or are many. The
// service answers the next one as ever. And pipes that are no service's.
#include <string.h>
#include <windows.h>

#include <sddl.h> // wants windows.h before it

#include "check.h"
#include "control_call.h"
#include "frame.h"
#include "socket.h"
#include "windows_text.h"

enum { WITHIN = 10000, CROWD = 80, SERVED = 64 }; // as CLIENTS_MAX of the service

static const char *path;

static enum kvpbus_error ask(struct kvpbus_failure *failure)
{
    struct kvpbus_client *client = NULL;
    Kvpbus__Control__Peers *peers = NULL;
    enum kvpbus_error error = kvpbus_client_open(path, &client, failure);
    if (error == KVPBUS_OK)
        error = kvpbus_control_peers(client, NULL, 1, WITHIN, &peers, failure);
    if (peers != NULL)
        kvpbus__control__peers__free_unpacked(peers, NULL);
    kvpbus_client_close(client);
    return error;
}

static bool answers(void)
{
    struct kvpbus_failure failure = {0};
    bool answered = ask(&failure) == KVPBUS_OK;
    if (!answered)
        printf("%s\n", failure.detail);
    return answered;
}

// The error that the first frame in these bytes says; KVPBUS_OK: there is no such frame.
static enum kvpbus_error error_in(const uint8_t *bytes, size_t length)
{
    static struct kvpbus_frame_reader reader;
    const uint8_t *frame = NULL;
    size_t taken, frame_length;
    enum kvpbus_error error = KVPBUS_OK;
    reader.length = 0;
    if (kvpbus_frame_take(&reader, bytes, length, &taken, &frame, &frame_length) != KVPBUS_OK ||
        frame == NULL)
        return KVPBUS_OK;
    Kvpbus__Control__Response *response =
        kvpbus__control__response__unpack(NULL, frame_length, frame);
    if (response != NULL && response->kind_case == KVPBUS__CONTROL__RESPONSE__KIND_FAILURE)
        error = (enum kvpbus_error)response->failure->code;
    if (response != NULL)
        kvpbus__control__response__free_unpacked(response, NULL);
    return error;
}

struct said {
    enum kvpbus_error error; // of the first answer
    bool hung_up;            // and not only silent until the time was over
};

// What the service says to these bytes, until it hangs up or, where that is enough, answers.
static struct said said_to(const uint8_t *bytes, size_t length, bool answer_is_enough)
{
    struct kvpbus_socket *socket;
    uint8_t answer[256];
    size_t told = 0, sent = 0;
    ptrdiff_t got = 0;
    int64_t end = kvpbus_socket_now() + WITHIN;
    if (kvpbus_socket_open(path, &socket, NULL) != KVPBUS_OK)
        return (struct said){0};
    while (got >= 0 && !(answer_is_enough && error_in(answer, told) != KVPBUS_OK)) {
        if (sent < length) {
            ptrdiff_t taken = kvpbus_socket_write(socket, bytes + sent, length - sent);
            sent = taken < 0 ? length : sent + (size_t)taken;
        }
        got = kvpbus_socket_read(socket, answer + told, sizeof answer - told);
        told += got > 0 ? (size_t)got : 0;
        if (got == 0 && !kvpbus_socket_wait(socket, sent < length, end))
            break;
    }
    kvpbus_socket_close(socket);
    return (struct said){error_in(answer, told), got < 0};
}

static void check_nonsense(void)
{
    static uint8_t endless[1024 * 1024];
    static const uint8_t garbage[] = "\xff\xff\xff\xffGET / HTTP/1.1\r\n\r\n";
    static const uint8_t no_request[] = {0, 0, 0, 2, 0xff, 0xff};
    memset(endless, 0xee, sizeof endless);
    struct said said = said_to(garbage, sizeof garbage, false);
    CHECK(said.error == KVPBUS_PROTOCOL);
    CHECK(said.hung_up);
    CHECK(answers());
    // Its answer may be lost with what it has not read.
    CHECK(said_to(endless, sizeof endless, false).hung_up);
    CHECK(answers());
    // A frame that is no request is told so, and the connection may go on.
    said = said_to(no_request, sizeof no_request, true);
    CHECK(said.error == KVPBUS_PROTOCOL);
    CHECK(!said.hung_up);
    CHECK(answers());
}

// Whether the service, which has met a later client, has hung up: after it has said why.
static bool is_dropped(struct kvpbus_socket *socket)
{
    uint8_t bytes[256];
    ptrdiff_t got;
    do {
        (void)kvpbus_socket_wait(socket, false, kvpbus_socket_now() + 20);
        got = kvpbus_socket_read(socket, bytes, sizeof bytes);
    } while (got > 0);
    return got < 0;
}

static void check_crowd(void)
{
    static struct kvpbus_socket *sockets[CROWD];
    struct kvpbus_failure failure = {0};
    size_t served = 0;
    for (size_t i = 0; i < CROWD; i++)
        if (kvpbus_socket_open(path, &sockets[i], NULL) != KVPBUS_OK)
            sockets[i] = NULL;
    CHECK(ask(&failure) == KVPBUS_BUSY);
    CHECK(strstr(failure.detail, "64 clients are served already") != NULL);
    for (size_t i = 0; i < CROWD; i++)
        served += sockets[i] != NULL && !is_dropped(sockets[i]) ? 1 : 0;
    CHECK(served == SERVED);
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

// A pipe of a user whom the clients do not trust, though everybody may use it.
static HANDLE make_pipe(const wchar_t *name)
{
    SECURITY_ATTRIBUTES attributes = {.nLength = sizeof attributes};
    if (!ConvertStringSecurityDescriptorToSecurityDescriptorW(
            L"O:BGG:BGD:(A;;GA;;;WD)", SDDL_REVISION_1, &attributes.lpSecurityDescriptor, NULL))
        return INVALID_HANDLE_VALUE;
    HANDLE pipe =
        CreateNamedPipeW(name, PIPE_ACCESS_DUPLEX, PIPE_TYPE_BYTE, 1, 0, 0, 0, &attributes);
    LocalFree(attributes.lpSecurityDescriptor);
    return pipe;
}

static void check_owner(void)
{
    struct kvpbus_socket *socket;
    struct kvpbus_failure failure = {0};
    HANDLE pipe = make_pipe(L"\\\\.\\pipe\\kvpbus-impostor");
    CHECK(pipe != INVALID_HANDLE_VALUE);
    CHECK(kvpbus_socket_open("\\\\.\\pipe\\kvpbus-impostor", &socket, &failure) == KVPBUS_ACCESS);
    CHECK(strstr(failure.detail, "is not a service's") != NULL);
    CloseHandle(pipe);
}

// What takes everything from a pipe, until so much has come.
static bool drain(HANDLE pipe, size_t length)
{
    uint8_t bytes[4096];
    DWORD got;
    for (; length > 0; length -= got < length ? got : length)
        if (!ReadFile(pipe, bytes, sizeof bytes, &got, NULL))
            return false;
    return true;
}

// It may be a read that finds a write ended; a wait for the next one does not wait for that again.
static void check_write_end(void)
{
    static const uint8_t bytes[64 * 1024];
    static const char name[] = "\\\\.\\pipe\\kvpbus-slow";
    struct kvpbus_socket *socket;
    uint8_t byte;
    HANDLE pipe = CreateNamedPipeW(L"\\\\.\\pipe\\kvpbus-slow", PIPE_ACCESS_DUPLEX, PIPE_TYPE_BYTE,
                                   1, 512, 512, 0, NULL);
    CHECK(pipe != INVALID_HANDLE_VALUE);
    CHECK(kvpbus_socket_open(name, &socket, NULL) == KVPBUS_OK);
    CHECK(kvpbus_socket_write(socket, bytes, sizeof bytes) == sizeof bytes);
    CHECK(kvpbus_socket_write(socket, bytes, sizeof bytes) == 0);
    CHECK(!kvpbus_socket_wait(socket, true, kvpbus_socket_now() + 20));
    CHECK(drain(pipe, sizeof bytes));
    CHECK(kvpbus_socket_wait(socket, false, kvpbus_socket_now() + WITHIN));
    CHECK(kvpbus_socket_read(socket, &byte, 1) == 0);
    CHECK(!kvpbus_socket_wait(socket, false, kvpbus_socket_now() + 20));
    CHECK(kvpbus_socket_wait(socket, true, kvpbus_socket_now() + WITHIN));
    kvpbus_socket_close(socket);
    CloseHandle(pipe);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    path = argv[argc - 1];
    CHECK(answers());
    check_nonsense();
    check_crowd();
    check_names();
    check_write_end();
    check_owner();
    return checks_end();
}
