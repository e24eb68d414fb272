// SPDX-License-Identifier: Apache-2.0
//
// Frames and addresses; the sockets are in lab_channel_posix.c and lab_channel_windows.c.
#include "lab_channel.h"

#include <stdlib.h>
#include <string.h>

#include "lab_channel_bytes.h"

enum {
    HEADER = 4,
    REQUEST_MAX = 512 * 1024,
    REPLY_MAX = 4 * 1024 * 1024,
};

bool kvpbus_lab_channel_port(const char *address, uint16_t *port)
{
    static const char loopback[] = "127.0.0.1:";
    enum { DIGITS_MAX = 5 };
    if (strncmp(address, loopback, sizeof loopback - 1) != 0)
        return false;
    const char *digits = address + sizeof loopback - 1;
    size_t length = strspn(digits, "0123456789");
    if (length == 0 || length > DIGITS_MAX || digits[length] != '\0')
        return false;
    unsigned long number = strtoul(digits, NULL, 10);
    *port = (uint16_t)number;
    return number > 0 && number <= UINT16_MAX;
}

int kvpbus_lab_channel_left(int64_t deadline)
{
    int64_t left = deadline - kvpbus_lab_channel_deadline(0);
    if (left < 0)
        return 0;
    return left > INT32_MAX ? INT32_MAX : (int)left;
}

enum kvpbus_error kvpbus_lab_channel_absent(const char *address, enum kvpbus_error code,
                                            int64_t os_code, const char *text,
                                            struct kvpbus_failure *failure)
{
    kvpbus_fail(failure, code, "no lab at %.120s (%s): start 'kvpbus-lab run DIR --vm NAME'",
                address, text);
    if (failure != NULL)
        failure->os_code = os_code;
    return code;
}

enum kvpbus_error kvpbus_lab_channel_send(int fd, const Kvpbus__Lab__Request *request,
                                          int64_t deadline, struct kvpbus_failure *failure)
{
    size_t length = kvpbus__lab__request__get_packed_size(request);
    if (length > REQUEST_MAX)
        return kvpbus_fail(failure, KVPBUS_TOO_LARGE, "a request of %zu bytes", length);
    uint8_t *bytes = malloc(HEADER + length);
    if (bytes == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "a request to the lab");
    for (size_t i = 0; i < HEADER; i++)
        bytes[i] = (uint8_t)(length >> (8 * (HEADER - 1 - i)));
    kvpbus__lab__request__pack(request, bytes + HEADER);
    enum kvpbus_error error =
        kvpbus_lab_channel_send_all(fd, bytes, HEADER + length, deadline, failure);
    free(bytes);
    return error;
}

enum kvpbus_error kvpbus_lab_channel_receive(int fd, Kvpbus__Lab__Reply **reply, int64_t deadline,
                                             struct kvpbus_failure *failure)
{
    uint8_t header[HEADER];
    enum kvpbus_error error = kvpbus_lab_channel_receive_all(fd, header, HEADER, deadline, failure);
    if (error != KVPBUS_OK)
        return error;
    size_t length = 0;
    for (size_t i = 0; i < HEADER; i++)
        length = length << 8 | header[i];
    if (length > REPLY_MAX)
        return kvpbus_fail(failure, KVPBUS_PROTOCOL, "a reply of %zu bytes: not a lab?", length);
    uint8_t *bytes = malloc(length > 0 ? length : 1);
    if (bytes == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "a reply of the lab");
    error = kvpbus_lab_channel_receive_all(fd, bytes, length, deadline, failure);
    if (error == KVPBUS_OK) {
        *reply = kvpbus__lab__reply__unpack(NULL, length, bytes);
        if (*reply == NULL)
            error = kvpbus_fail(failure, KVPBUS_PROTOCOL, "a reply that is none: not a lab?");
    }
    free(bytes);
    return error;
}
