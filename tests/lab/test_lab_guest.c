// SPDX-License-Identifier: Apache-2.0
//
// The line to a Windows guest's integration service, with the test in the place of the service:
// what it is asked, and what becomes of answers that are none.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab_channel.h"
#include "lab_fixture.h"

enum { WAIT_MS = 5000 };

#define END UINT32_C(0x80070103)

static struct lab lab;
static int line;   // to the lab
static int client; // that reads the guest's items

static int64_t soon(void)
{
    return kvpbus_lab_channel_deadline(WAIT_MS);
}

static void send_kind(int fd, Kvpbus__Lab__Request *request)
{
    cr_assert_eq(kvpbus_lab_channel_send(fd, request, soon(), NULL), KVPBUS_OK);
}

static Kvpbus__Lab__Reply *receive(int fd)
{
    Kvpbus__Lab__Reply *reply;
    cr_assert_eq(kvpbus_lab_channel_receive(fd, &reply, soon(), NULL), KVPBUS_OK);
    return reply;
}

static void answer(uint32_t status, const char *key, const char *value)
{
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    Kvpbus__Lab__GuestAnswer message = KVPBUS__LAB__GUEST_ANSWER__INIT;
    Kvpbus__Lab__Item item = KVPBUS__LAB__ITEM__INIT;
    if (key != NULL) {
        item.key = (ProtobufCBinaryData){strlen(key), (uint8_t *)key};
        item.value = (ProtobufCBinaryData){strlen(value), (uint8_t *)value};
        message.item = &item;
    }
    message.status = status;
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_ANSWER;
    request.answer = &message;
    send_kind(line, &request);
}

// The next thing that the guest is asked; its index, when it is an enumeration.
static Kvpbus__Lab__GuestOperation asked(uint32_t *index)
{
    Kvpbus__Lab__Reply *reply = receive(line);
    cr_assert_not_null(reply->guest);
    Kvpbus__Lab__GuestOperation operation = reply->guest->operation;
    *index = reply->guest->index;
    kvpbus__lab__reply__free_unpacked(reply, NULL);
    return operation;
}

static enum kvpbus_error ask_to_attach(void)
{
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    Kvpbus__Lab__Attach message = KVPBUS__LAB__ATTACH__INIT;
    message.vm = (char *)"gamma";
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_ATTACH;
    request.attach = &message;
    send_kind(line, &request);
    Kvpbus__Lab__Reply *reply = receive(line);
    enum kvpbus_error error = (enum kvpbus_error)reply->error;
    kvpbus__lab__reply__free_unpacked(reply, NULL);
    return error;
}

static void attach(void)
{
    cr_assert_eq(kvpbus_lab_channel_open(lab.socket, soon(), &line, NULL), KVPBUS_OK);
    cr_assert_eq(ask_to_attach(), KVPBUS_OK);
}

// The host's facts, which come first and of which there are 13.
static void take_facts(void)
{
    uint32_t index;
    for (int i = 0; i < 13; i++) {
        cr_assert_eq(asked(&index), KVPBUS__LAB__GUEST_OPERATION__SET);
        answer(0, NULL, NULL);
    }
}

static void start(void)
{
    lab_start(&lab, "--windows-vm gamma");
    attach();
    take_facts();
    cr_assert_eq(kvpbus_lab_channel_open(lab.socket, soon(), &client, NULL), KVPBUS_OK);
}

static void finish(void)
{
    kvpbus_lab_channel_close(line);
    kvpbus_lab_channel_close(client);
    lab_stop(&lab);
    lab_remove(&lab);
}

TestSuite(lab_guest, .init = start, .fini = finish);

static void begin_read(void)
{
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    Kvpbus__Lab__ReadGuest message = KVPBUS__LAB__READ_GUEST__INIT;
    ProtobufCBinaryData guid = {KVPBUS_GUID_BYTES, lab.guids[LAB_GAMMA]};
    message.n_guids = 1;
    message.guids = &guid;
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_READ_GUEST;
    request.read_guest = &message;
    send_kind(client, &request);
}

// Answers the next enumeration, which has to be of this index.
static void give(uint32_t expected, uint32_t status, const char *key, const char *value)
{
    uint32_t index;
    cr_assert_eq(asked(&index), KVPBUS__LAB__GUEST_OPERATION__ENUMERATE);
    cr_assert_eq(index, expected);
    answer(status, key, value);
}

static size_t end_read(enum kvpbus_error expected)
{
    Kvpbus__Lab__Reply *reply = receive(client);
    cr_assert_eq(reply->error, expected);
    size_t count = reply->n_items;
    kvpbus__lab__reply__free_unpacked(reply, NULL);
    return count;
}

Test(lab_guest, is_asked_for_one_item_at_a_time_until_the_end)
{
    begin_read();
    give(0, 0, "kvpbus.h", "a");
    give(1, 0x80070032, NULL, NULL); // a value that cannot be said
    give(2, 0, "kvpbus.s", "b");
    give(3, END, NULL, NULL);
    cr_assert_eq(end_read(KVPBUS_OK), 2);
}

Test(lab_guest, that_answers_what_is_no_text_ends_the_read_with_what_there_is)
{
    static char long_value[8000];
    begin_read();
    give(0, 0, "kvpbus.h", "a");
    give(1, 0, "kvpbus.s", "\xff\xfe");
    cr_assert_eq(end_read(KVPBUS_OK), 1);
    begin_read();
    memset(long_value, 'x', sizeof long_value - 1);
    give(0, 0, long_value, long_value); // cut, as the wire cuts it
    give(1, 0x80004005, NULL, NULL);
    cr_assert_eq(end_read(KVPBUS_OK), 1);
    begin_read();
    give(0, 0, "kvpbus.h", "a");
    give(1, 0, NULL, NULL); // no item at all
    cr_assert_eq(end_read(KVPBUS_OK), 1);
}

Test(lab_guest, that_speaks_unasked_is_not_heard)
{
    answer(0, "kvpbus.h", "nobody asked");
    answer(END, NULL, NULL);
    cr_assert_eq(ask_to_attach(), KVPBUS_EXISTS, "once this is answered those have been read");
    begin_read();
    give(0, 0, "kvpbus.h", "a");
    give(1, END, NULL, NULL);
    cr_assert_eq(end_read(KVPBUS_OK), 1);
}

Test(lab_guest, that_hangs_up_is_gone_and_may_come_back)
{
    uint32_t index;
    begin_read();
    cr_assert_eq(asked(&index), KVPBUS__LAB__GUEST_OPERATION__ENUMERATE);
    kvpbus_lab_channel_close(line);
    cr_assert_eq(end_read(KVPBUS_STORE_GONE), 0);
    attach(); // within one boot, so that nothing is sent anew
    begin_read();
    give(0, END, NULL, NULL);
    cr_assert_eq(end_read(KVPBUS_OK), 0);
}

Test(lab_guest, hears_the_end_of_its_vm)
{
    Kvpbus__Lab__Reply *reply;
    lab_ctl(&lab, "stop gamma");
    cr_assert_eq(kvpbus_lab_channel_receive(line, &reply, soon(), NULL), KVPBUS_CLOSED);
}

Test(lab_guest, its_answers_are_only_taken_on_its_line)
{
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    Kvpbus__Lab__GuestAnswer message = KVPBUS__LAB__GUEST_ANSWER__INIT;
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_ANSWER;
    request.answer = &message;
    send_kind(client, &request);
    cr_assert_eq(end_read(KVPBUS_PROTOCOL), 0);
}

Test(lab_guest_options, a_vm_has_one_kind_of_guest)
{
    char output[1024];
    cr_assert_eq(lab_program(&lab, "run DIR --windows-vm a --vm a", output, sizeof output), 2);
    cr_assert_not_null(strstr(output, "two VMs"));
    cr_assert_eq(lab_program(&lab, "run DIR --windows-vm -x", output, sizeof output), 2);
}
