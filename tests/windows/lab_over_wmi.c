// SPDX-License-Identifier: Apache-2.0
//
// Linked into the tests of the lab's own client, it puts Windows in between: what they open as the
// lab's management service is wmi_server.exe under Wine, whose WMI client asks the stand-in
// provider, which asks the lab. The tests know nothing of it.
#include "lab_over_wmi.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvpbus/management.h"
#include "lab_fixture.h"

enum kvpbus_error __wrap_kvpbus_lab_management_open(const char *address,
                                                    struct kvpbus_management **management,
                                                    struct kvpbus_failure *failure);
enum kvpbus_error __real_kvpbus_lab_management_open(const char *address,
                                                    struct kvpbus_management **management,
                                                    struct kvpbus_failure *failure);

static void read_port(const char *directory)
{
    char path[128], address[64] = "127.0.0.1:";
    snprintf(path, sizeof path, "%s/host.port", directory);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "the lab has no port: %s", path);
    cr_assert_not_null(
        fgets(address + strlen(address), (int)(sizeof address - strlen(address)), file));
    fclose(file);
    address[strcspn(address, "\n")] = '\0';
    setenv("KVPBUS_LAB", address, 1);
}

void wmi_server_start(struct wmi_server *server, const char *lab_directory,
                      const char *const *options)
{
    const char *words[WINE_WORDS_MAX + 1] = {"tests/windows/wmi_server.exe"};
    struct wine wine;
    int input[2], output[2];
    for (size_t i = 0; options != NULL && options[i] != NULL; i++)
        words[i + 1] = options[i];
    read_port(lab_directory);
    wine_share(&wine, "wine-wmi");
    cr_assert_eq(pipe2(input, O_CLOEXEC), 0);
    cr_assert_eq(pipe2(output, O_CLOEXEC), 0);
    server->pid = wine_start(&wine, words, input[0], output[1]);
    close(input[0]);
    close(output[1]);
    server->input = input[1];
    server->output = fdopen(output[0], "r");
    cr_assert_not_null(fgets(server->line, sizeof server->line, server->output),
                       "wmi_server.exe has not started");
    server->line[strcspn(server->line, "\r\n")] = '\0';
    server->port = 0;
    server->error = KVPBUS_OK;
    int error = KVPBUS_OK;
    cr_assert(sscanf(server->line, "port %u", &server->port) == 1 ||
                  sscanf(server->line, "error %d: ", &error) == 1,
              "%s", server->line);
    server->error = (enum kvpbus_error)error;
    snprintf(server->address, sizeof server->address, "127.0.0.1:%u", server->port);
}

void wmi_server_end(struct wmi_server *server)
{
    char last[128] = "";
    int status;
    close(server->input);
    cr_assert_not_null(fgets(last, sizeof last, server->output));
    fclose(server->output);
    cr_assert_eq(waitpid(server->pid, &status, 0), server->pid);
    cr_assert_eq(sscanf(last, "held %ld objects %ld", &server->held, &server->objects), 2, "%s",
                 last);
}

enum kvpbus_error __wrap_kvpbus_lab_management_open(const char *address,
                                                    struct kvpbus_management **management,
                                                    struct kvpbus_failure *failure)
{
    static struct wmi_server server; // until the test's process ends
    char directory[128];
    char *end;
    snprintf(directory, sizeof directory, "%s", address);
    end = strrchr(directory, '/');
    if (end == NULL)
        return __real_kvpbus_lab_management_open(address, management, failure);
    *end = '\0';
    wmi_server_start(&server, directory, NULL);
    cr_assert_eq(server.error, KVPBUS_OK, "%s", server.line);
    return __real_kvpbus_lab_management_open(server.address, management, failure);
}

// The lab has a port, whatever else a test wants of it.
__attribute__((constructor)) static void with_port(void)
{
    lab_always = "--tcp";
}
