// SPDX-License-Identifier: Apache-2.0
//
// A lab that is not there, does not answer, or answers what no lab would: the other end of the
// connection is the test.
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lab_channel.h"

enum { SHORT_WHILE = 30 }; // ms that a call may wait in vain

static int ends[2]; // the program's and the lab's
static struct kvpbus_failure failure;

static void connect_ends(void)
{
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    memset(&failure, 0, sizeof failure);
}

static void close_ends(void)
{
    close(ends[0]);
    if (ends[1] >= 0)
        close(ends[1]);
}

TestSuite(lab_channel, .init = connect_ends, .fini = close_ends);

static enum kvpbus_error receive(void)
{
    Kvpbus__Lab__Reply *reply = NULL;
    enum kvpbus_error error = kvpbus_lab_channel_receive(
        ends[0], &reply, kvpbus_lab_channel_deadline(SHORT_WHILE), &failure);
    cr_assert(error == KVPBUS_OK || failure.detail[0] != '\0');
    cr_assert_eq(error == KVPBUS_OK, reply != NULL);
    if (reply != NULL)
        kvpbus__lab__reply__free_unpacked(reply, NULL);
    return error;
}

static void answer(const void *bytes, size_t length)
{
    cr_assert_eq(write(ends[1], bytes, length), (ssize_t)length);
}

// A request of about so many bytes.
static enum kvpbus_error send_name(size_t length)
{
    static char name[1024 * 1024];
    cr_assert_lt(length, sizeof name);
    memset(name, 'x', length);
    name[length] = '\0';
    Kvpbus__Lab__StatsQuery query = KVPBUS__LAB__STATS_QUERY__INIT;
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    query.vm = name;
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_STATS;
    request.stats = &query;
    enum kvpbus_error error = kvpbus_lab_channel_send(
        ends[0], &request, kvpbus_lab_channel_deadline(SHORT_WHILE), &failure);
    cr_assert(error == KVPBUS_OK || failure.detail[0] != '\0');
    return error;
}

// --- connecting ---

static enum kvpbus_error open_path(const char *path)
{
    int fd = -1;
    enum kvpbus_error error =
        kvpbus_lab_channel_open(path, kvpbus_lab_channel_deadline(SHORT_WHILE), &fd, &failure);
    if (fd >= 0)
        close(fd);
    return error;
}

Test(lab_channel, where_no_lab_is_it_says_how_to_start_one)
{
    char path[200];
    snprintf(path, sizeof path, "/nowhere/%0180d", 0);
    cr_assert_eq(open_path("/nowhere/host.sock"), KVPBUS_STORE_GONE);
    cr_assert_not_null(strstr(failure.detail, "kvpbus-lab run"));
    cr_assert_eq(open_path(path), KVPBUS_STORE_GONE, "longer than a socket's name can be");
}

Test(lab_channel, a_lab_that_takes_no_more_connections_is_not_waited_for_long)
{
    enum { QUEUE = 64 };
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int waiting[QUEUE], count = 0;
    snprintf(address.sun_path, sizeof address.sun_path, "/tmp/kvpbus-channel-%d", (int)getpid());
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(listener, 1), 0);
    enum kvpbus_error error = KVPBUS_OK;
    while (error == KVPBUS_OK && count < QUEUE) {
        error = kvpbus_lab_channel_open(address.sun_path, kvpbus_lab_channel_deadline(SHORT_WHILE),
                                        &waiting[count], &failure);
        count += error == KVPBUS_OK;
    }
    while (count > 0)
        close(waiting[--count]);
    close(listener);
    unlink(address.sun_path);
    cr_assert_eq(error, KVPBUS_TIMEOUT);
}

// A port of the loopback on which somebody listens, or, with `deaf`, nobody any more.
static void listen_somewhere(char address[32], int *listener, bool deaf)
{
    struct sockaddr_in place = {.sin_family = AF_INET};
    socklen_t size = sizeof place;
    place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(*listener, (struct sockaddr *)&place, sizeof place), 0);
    cr_assert_eq(getsockname(*listener, (struct sockaddr *)&place, &size), 0);
    if (!deaf)
        cr_assert_eq(listen(*listener, 1), 0);
    snprintf(address, 32, "127.0.0.1:%u", ntohs(place.sin_port));
}

Test(lab_channel, a_port_of_the_loopback_is_an_address_too)
{
    char address[32];
    int listener;
    listen_somewhere(address, &listener, false);
    cr_assert_eq(open_path(address), KVPBUS_OK);
    close(listener);
    listen_somewhere(address, &listener, true);
    cr_assert_eq(open_path(address), KVPBUS_STORE_GONE);
    cr_assert_not_null(strstr(failure.detail, "kvpbus-lab run"));
    close(listener);
}

Test(lab_channel, only_a_port_of_the_loopback_is_one)
{
    static const char *const others[] = {"127.0.0.1:",  "127.0.0.1:0",        "127.0.0.1:65536",
                                         "127.0.0.1:x", "127.0.0.1:99999999", "127.0.0.2:80"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cr_assert_eq(open_path(others[i]), KVPBUS_STORE_GONE, "%s: a path that is not there",
                     others[i]);
}

Test(lab_channel, a_connection_is_alive_until_the_lab_says_or_ends_something)
{
    cr_assert(kvpbus_lab_channel_alive(ends[0]));
    answer("x", 1);
    cr_assert_not(kvpbus_lab_channel_alive(ends[0]), "nothing was asked");
    close(ends[1]);
    ends[1] = -1;
    cr_assert_not(kvpbus_lab_channel_alive(ends[0]));
}

// --- replies ---

Test(lab_channel, an_empty_reply_is_one)
{
    answer("\0\0\0\0", 4);
    cr_assert_eq(receive(), KVPBUS_OK);
}

Test(lab_channel, a_reply_that_does_not_come_or_stops_half_way_is_not_waited_for_long)
{
    cr_assert_eq(receive(), KVPBUS_TIMEOUT);
    answer("\0\0\0\x20half", 8);
    cr_assert_eq(receive(), KVPBUS_TIMEOUT);
}

Test(lab_channel, a_lab_that_ends_in_the_middle_is_lost)
{
    answer("\0\0\0\x20half", 8);
    close(ends[1]);
    ends[1] = -1;
    cr_assert_eq(receive(), KVPBUS_CLOSED);
}

Test(lab_channel, what_no_lab_says_is_refused_before_memory_is_taken_for_it)
{
    answer("\0\x40\0\1", 4); // 4 MiB and a byte
    cr_assert_eq(receive(), KVPBUS_PROTOCOL);
}

Test(lab_channel, a_reply_that_does_not_parse_is_refused)
{
    answer("\0\0\0\2\x08\xff", 6);
    cr_assert_eq(receive(), KVPBUS_PROTOCOL);
}

// --- requests ---

Test(lab_channel, a_request_beyond_the_limit_is_not_sent)
{
    char byte;
    cr_assert_eq(send_name(600 * 1024), KVPBUS_TOO_LARGE);
    cr_assert_lt(read(ends[1], &byte, 1), 0);
}

Test(lab_channel, a_lab_that_does_not_read_is_not_waited_for_long)
{
    enum kvpbus_error error = KVPBUS_OK;
    for (int i = 0; error == KVPBUS_OK && i < 64; i++)
        error = send_name(400 * 1024);
    cr_assert_eq(error, KVPBUS_TIMEOUT);
}

Test(lab_channel, a_lab_that_is_gone_is_said)
{
    close(ends[1]);
    ends[1] = -1;
    cr_assert_eq(send_name(10), KVPBUS_CLOSED);
}
