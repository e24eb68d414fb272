// SPDX-License-Identifier: Apache-2.0
//
// The lab is reached over TCP on the loopback alone: Wine has no AF_UNIX.
#include <stdio.h>
#include <winsock2.h>
#include <ws2tcpip.h>

#include "lab_channel.h"
#include "lab_channel_bytes.h"

int64_t kvpbus_lab_channel_deadline(unsigned ms)
{
    return (int64_t)GetTickCount64() + ms;
}

static BOOL CALLBACK start_winsock(PINIT_ONCE once, PVOID parameter, PVOID *context)
{
    WSADATA data;
    (void)once;
    (void)parameter;
    (void)context;
    return WSAStartup(MAKEWORD(2, 2), &data) == 0;
}

static enum kvpbus_error no_lab(const char *address, int error, struct kvpbus_failure *failure)
{
    char text[32];
    snprintf(text, sizeof text, "Winsock error %d", error);
    return kvpbus_lab_channel_absent(
        address, error == WSAEACCES ? KVPBUS_ACCESS : KVPBUS_STORE_GONE, error, text, failure);
}

// Waits until the socket can be read, or written with `writing`; a connection that is refused
// shows as an exception. False when the deadline has passed.
static bool ready(SOCKET channel, bool writing, int64_t deadline)
{
    int left = kvpbus_lab_channel_left(deadline);
    struct timeval wait = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};
    fd_set readers, writers, failed;
    FD_ZERO(&readers);
    FD_ZERO(&writers);
    FD_ZERO(&failed);
    FD_SET(channel, writing ? &writers : &readers);
    FD_SET(channel, &failed);
    return select(0, &readers, &writers, &failed, &wait) > 0;
}

static int connect_port(SOCKET channel, uint16_t port, int64_t deadline)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    u_long nonblocking = 1;
    BOOL on = TRUE;
    int error = 0, size = sizeof error;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (ioctlsocket(channel, (long)FIONBIO, &nonblocking) != 0)
        return WSAGetLastError();
    // Requests and replies are small and wait for each other.
    (void)setsockopt(channel, IPPROTO_TCP, TCP_NODELAY, (const char *)&on, sizeof on);
    if (connect(channel, (const struct sockaddr *)&address, sizeof address) == 0)
        return 0;
    if (WSAGetLastError() != WSAEWOULDBLOCK)
        return WSAGetLastError();
    if (!ready(channel, true, deadline))
        return WSAETIMEDOUT;
    if (getsockopt(channel, SOL_SOCKET, SO_ERROR, (char *)&error, &size) != 0)
        return WSAGetLastError();
    return error;
}

enum kvpbus_error kvpbus_lab_channel_check(const char *address, struct kvpbus_failure *failure)
{
    uint16_t port;
    return kvpbus_lab_channel_port(address, &port)
               ? KVPBUS_OK
               : kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                             "'%.120s' is not 127.0.0.1:PORT; 'kvpbus-lab run DIR --tcp' writes "
                             "the port to DIR/host.port",
                             address);
}

enum kvpbus_error kvpbus_lab_channel_open(const char *address, int64_t deadline, int *fd,
                                          struct kvpbus_failure *failure)
{
    static INIT_ONCE started = INIT_ONCE_STATIC_INIT;
    uint16_t port;
    if (!kvpbus_lab_channel_port(address, &port))
        return kvpbus_lab_channel_check(address, failure);
    if (!InitOnceExecuteOnce(&started, start_winsock, NULL, NULL))
        return no_lab(address, WSASYSNOTREADY, failure);
    SOCKET channel = WSASocketW(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, 0,
                                WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
    if (channel == INVALID_SOCKET)
        return no_lab(address, WSAGetLastError(), failure);
    int error = connect_port(channel, port, deadline);
    if (error != 0) {
        closesocket(channel);
        if (error == WSAETIMEDOUT)
            return kvpbus_fail(failure, KVPBUS_TIMEOUT, "the lab at %s does not answer", address);
        return no_lab(address, error, failure);
    }
    *fd = (int)channel;
    return KVPBUS_OK;
}

void kvpbus_lab_channel_close(int fd)
{
    closesocket((SOCKET)fd);
}

bool kvpbus_lab_channel_alive(int fd)
{
    char byte;
    return recv((SOCKET)fd, &byte, 1, MSG_PEEK) < 0 && WSAGetLastError() == WSAEWOULDBLOCK;
}

enum kvpbus_error kvpbus_lab_channel_send_all(int fd, const uint8_t *bytes, size_t length,
                                              int64_t deadline, struct kvpbus_failure *failure)
{
    for (size_t sent = 0; sent < length;) {
        int step = send((SOCKET)fd, (const char *)bytes + sent, (int)(length - sent), 0);
        if (step < 0 && WSAGetLastError() != WSAEWOULDBLOCK)
            return kvpbus_fail(failure, KVPBUS_CLOSED,
                               "the connection to the lab is lost: Winsock error %d",
                               WSAGetLastError());
        if (step < 0 && !ready((SOCKET)fd, true, deadline))
            return kvpbus_fail(failure, KVPBUS_TIMEOUT, "the lab has not answered in time");
        sent += step > 0 ? (size_t)step : 0;
    }
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_lab_channel_receive_all(int fd, uint8_t *bytes, size_t length,
                                                 int64_t deadline, struct kvpbus_failure *failure)
{
    for (size_t got = 0; got < length;) {
        int step = recv((SOCKET)fd, (char *)bytes + got, (int)(length - got), 0);
        if (step == 0 || (step < 0 && WSAGetLastError() != WSAEWOULDBLOCK))
            return kvpbus_fail(failure, KVPBUS_CLOSED, "the lab has closed the connection");
        if (step < 0 && !ready((SOCKET)fd, false, deadline))
            return kvpbus_fail(failure, KVPBUS_TIMEOUT, "the lab has not answered in time");
        got += step > 0 ? (size_t)step : 0;
    }
    return KVPBUS_OK;
}
