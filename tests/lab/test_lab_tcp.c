// SPDX-License-Identifier: Apache-2.0
//
// The management API on the loopback, as programs under Wine use it: the same as on the socket.
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conformance.h"
#include "lab_channel.h"
#include "lab_fixture.h"

static struct lab lab;
static char address[LAB_ADDRESS];

static void start(void)
{
    lab_start(&lab, "--tcp");
    lab_address(&lab, address);
}

static void finish(void)
{
    char path[128];
    lab_stop(&lab);
    snprintf(path, sizeof path, "%s/host.port", lab.directory);
    cr_assert_neq(access(path, F_OK), 0, "the file of the port is left");
    lab_remove(&lab);
}

TestSuite(lab_tcp, .init = start, .fini = finish);

Test(lab_tcp, a_store_over_it_keeps_the_contract)
{
    struct kvpbus_management *management;
    struct kvpbus_store *store;
    struct kvpbus_failure failure = {0};
    cr_assert_eq(kvpbus_lab_management_open(address, &management, &failure), KVPBUS_OK, "%s",
                 failure.detail);
    cr_assert_eq(kvpbus_management_store_open(management, lab.guids[LAB_ALPHA], "kvpbus", &store),
                 KVPBUS_OK);
    const struct conformance suite = {
        .store = store, .context = &lab, .put_peer = lab_put_peer, .random_steps = 10};
    conformance_run(&suite);
    kvpbus_store_close(store);
    management->ops->close(management);
}

Test(lab_tcp, what_is_no_request_is_refused_and_the_lab_goes_on)
{
    int fd;
    Kvpbus__Lab__Reply *reply;
    const int64_t deadline = kvpbus_lab_channel_deadline(5000);
    cr_assert_eq(kvpbus_lab_channel_open(address, deadline, &fd, NULL), KVPBUS_OK);
    cr_assert_gt(send(fd, "GET / HTTP/1.0\r\n\r\n", 18, 0), 0);
    cr_assert_eq(kvpbus_lab_channel_receive(fd, &reply, deadline, NULL), KVPBUS_OK);
    cr_assert_eq(reply->error, KVPBUS_PROTOCOL);
    kvpbus__lab__reply__free_unpacked(reply, NULL);
    kvpbus_lab_channel_close(fd);
    lab_ctl(&lab, "list");
}

Test(lab_without_tcp, nobody_is_told_a_port)
{
    char path[128];
    lab_start(&lab, "");
    snprintf(path, sizeof path, "%s/host.port", lab.directory);
    cr_assert_neq(access(path, F_OK), 0);
    lab_stop(&lab);
    // Nor that of a lab that was killed.
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs("1\n", file);
    fclose(file);
    lab_start_again(&lab, "");
    cr_assert_neq(access(path, F_OK), 0);
    lab_stop(&lab);
    lab_remove(&lab);
}
