// SPDX-License-Identifier: Apache-2.0
//
// kvpbus-lab-integration.exe ADDRESS VM: plays the integration service of a lab's Windows VM. What
// the host sends goes into the registry, what programs put there is read to the host. Comes back
// when it was sent away, as a service does when its VM has started again; ends with the lab.
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <windows.h>

#include "lab_channel.h"
#include "pools.h"
#include "windows_error.h"

enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NO_LAB = 3,
    EXIT_UNKNOWN_VM = 4,
    CONNECT_MS = 10000,
    RETRY_MS = 100,
    TAKEN_MAX = 50, // tries while somebody else plays this service
};

static const char help[] =
    "Usage: kvpbus-lab-integration.exe 127.0.0.1:PORT VM\n"
    "\n"
    "Plays the integration service of a Windows VM of kvpbus-lab in the registry of this machine,\n"
    "HKLM\\SOFTWARE\\Microsoft\\Virtual Machine: for Wine, and not for a Hyper-V guest, which has "
    "one.\n"
    "PORT is the number in DIR/host.port. Says when it is connected; ends with the lab.\n";

static void say(const char *vm, const char *what)
{
    printf("integration service of %s: %s\n", vm, what);
    fflush(stdout);
}

static int complain(const struct kvpbus_failure *failure, int exit_code)
{
    fprintf(stderr, "kvpbus-lab-integration: %s\n", failure->detail);
    return exit_code;
}

// The fields have no NUL of their own.
static bool take(const ProtobufCBinaryData *data, char *text, size_t size)
{
    if (data->len >= size)
        return false;
    if (data->len > 0)
        memcpy(text, data->data, data->len);
    text[data->len] = '\0';
    return strlen(text) == data->len;
}

static uint32_t carry_out(const Kvpbus__Lab__GuestRequest *request, struct pool_item *item)
{
    const Kvpbus__Lab__Item *asked = request->item;
    if (request->operation == KVPBUS__LAB__GUEST_OPERATION__ENUMERATE)
        return pool_enumerate(request->pool, request->index, item);
    if (asked == NULL || !take(&asked->key, item->key, sizeof item->key) ||
        !take(&asked->value, item->value, sizeof item->value))
        return POOL_BAD_REQUEST;
    if (request->operation == KVPBUS__LAB__GUEST_OPERATION__SET)
        return pool_set(request->pool, item->key, item->value);
    if (request->operation == KVPBUS__LAB__GUEST_OPERATION__DELETE)
        return pool_delete(request->pool, item->key);
    return POOL_BAD_REQUEST;
}

static enum kvpbus_error answer(int fd, const Kvpbus__Lab__GuestRequest *request,
                                struct kvpbus_failure *failure)
{
    static struct pool_item item;
    Kvpbus__Lab__Item message = KVPBUS__LAB__ITEM__INIT;
    Kvpbus__Lab__GuestAnswer reply = KVPBUS__LAB__GUEST_ANSWER__INIT;
    Kvpbus__Lab__Request frame = KVPBUS__LAB__REQUEST__INIT;
    if (request->operation == KVPBUS__LAB__GUEST_OPERATION__WIPE) {
        pool_wipe(request->pool);
        return KVPBUS_OK;
    }
    reply.status = carry_out(request, &item);
    if (reply.status == 0 && request->operation == KVPBUS__LAB__GUEST_OPERATION__ENUMERATE) {
        message.key.data = (uint8_t *)item.key;
        message.key.len = strlen(item.key);
        message.value.data = (uint8_t *)item.value;
        message.value.len = strlen(item.value);
        reply.item = &message;
    }
    frame.kind_case = KVPBUS__LAB__REQUEST__KIND_ANSWER;
    frame.answer = &reply;
    return kvpbus_lab_channel_send(fd, &frame, kvpbus_lab_channel_deadline(CONNECT_MS), failure);
}

// Until the line ends.
static void serve(int fd)
{
    struct kvpbus_failure failure;
    enum kvpbus_error error = KVPBUS_OK;
    while (error == KVPBUS_OK) {
        Kvpbus__Lab__Reply *reply;
        error = kvpbus_lab_channel_receive(fd, &reply, kvpbus_lab_channel_deadline(UINT32_MAX),
                                           &failure);
        if (error != KVPBUS_OK)
            break;
        error = reply->guest != NULL ? answer(fd, reply->guest, &failure) : KVPBUS_PROTOCOL;
        kvpbus__lab__reply__free_unpacked(reply, NULL);
    }
}

static enum kvpbus_error attach(int fd, const char *vm, struct kvpbus_failure *failure)
{
    const int64_t deadline = kvpbus_lab_channel_deadline(CONNECT_MS);
    Kvpbus__Lab__Attach query = KVPBUS__LAB__ATTACH__INIT;
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    Kvpbus__Lab__Reply *reply;
    query.vm = (char *)vm;
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_ATTACH;
    request.attach = &query;
    enum kvpbus_error error = kvpbus_lab_channel_send(fd, &request, deadline, failure);
    if (error == KVPBUS_OK)
        error = kvpbus_lab_channel_receive(fd, &reply, deadline, failure);
    if (error != KVPBUS_OK)
        return error;
    error = (enum kvpbus_error)reply->error;
    if (error != KVPBUS_OK)
        kvpbus_fail(failure, error, "VM %.64s: %s", vm, reply->detail);
    kvpbus__lab__reply__free_unpacked(reply, NULL);
    return error;
}

// A lab that has been there and is gone has ended, and this with it.
static int run(const char *address, const char *vm)
{
    struct kvpbus_failure failure = {0};
    bool been_there = false;
    int taken = 0;
    for (;;) {
        int fd;
        enum kvpbus_error error = kvpbus_lab_channel_open(
            address, kvpbus_lab_channel_deadline(CONNECT_MS), &fd, &failure);
        if (error != KVPBUS_OK && been_there) {
            say(vm, "the lab has ended");
            return EXIT_DONE;
        }
        if (error != KVPBUS_OK)
            return complain(&failure, EXIT_NO_LAB);
        been_there = true;
        error = attach(fd, vm, &failure);
        if (error == KVPBUS_OK) {
            say(vm, "connected");
            serve(fd);
            say(vm, "sent away");
        }
        kvpbus_lab_channel_close(fd);
        taken = error == KVPBUS_EXISTS ? taken + 1 : 0;
        if (error == KVPBUS_VM_UNKNOWN || error == KVPBUS_UNSUPPORTED)
            return complain(&failure, EXIT_UNKNOWN_VM);
        if (taken > TAKEN_MAX)
            return complain(&failure, EXIT_FAILED);
        Sleep(RETRY_MS);
    }
}

int main(int argc, char **argv)
{
    struct kvpbus_failure failure = {0};
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(help, stdout);
        return EXIT_DONE;
    }
    if (argc != 3) {
        fputs(help, stderr);
        return EXIT_USAGE;
    }
    uint32_t code = pools_begin();
    if (code != ERROR_SUCCESS) {
        kvpbus_fail_windows(&failure, KVPBUS_ACCESS, code,
                            "the registry keys of a guest cannot be made");
        return complain(&failure, EXIT_FAILED);
    }
    return run(argv[1], argv[2]);
}
