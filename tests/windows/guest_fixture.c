// SPDX-License-Identifier: Apache-2.0
#include "guest_fixture.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void guest_await(struct guest *guest, const char *word)
{
    char text[4096] = "";
    size_t length = 0;
    while (strstr(text, word) == NULL) {
        ssize_t got = read(guest->output, text + length, sizeof text - 1 - length);
        cr_assert_gt(got, 0, "the service has ended, not %s: %s", word, text);
        length += (size_t)got;
        text[length] = '\0';
    }
}

void guest_start(struct guest *guest, const struct lab *lab, const char *kind)
{
    struct kvpbus_failure failure = {0};
    int output[2];
    memset(guest, 0, sizeof *guest);
    lab_address(lab, guest->address);
    wine_make(&guest->wine, true);
    const char *const words[] = {"lab/windows/kvpbus-lab-integration.exe", guest->address, "gamma",
                                 NULL};
    cr_assert_eq(pipe2(output, O_CLOEXEC), 0);
    guest->service = wine_start(&guest->wine, words, -1, output[1]);
    close(output[1]);
    guest->output = output[0];
    guest_await(guest, ": connected");
    if (kind != NULL)
        cr_assert_eq(store_proxy_open(&guest->wine, kind, &guest->store, &failure), KVPBUS_OK, "%s",
                     failure.detail);
}

void guest_end(struct guest *guest, struct lab *lab)
{
    char rest[256];
    int status;
    kvpbus_store_close(guest->store);
    lab_stop(lab);
    while (read(guest->output, rest, sizeof rest) > 0)
        continue;
    close(guest->output);
    cr_assert_eq(waitpid(guest->service, &status, 0), guest->service);
    cr_assert_eq(status, 0, "the service ended with %x", status);
    wine_remove(&guest->wine);
    lab_remove(lab);
}
