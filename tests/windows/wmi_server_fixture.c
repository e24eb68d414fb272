// SPDX-License-Identifier: Apache-2.0
#include "wmi_server_fixture.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab_fixture.h"

// The labs have a port, whatever else a test wants of them.
__attribute__((constructor)) static void with_port(void)
{
    lab_always = "--tcp";
}

static const char *address_of_lab(const char *lab_directory)
{
    static char address[64];
    char path[128];
    strcpy(address, "127.0.0.1:");
    snprintf(path, sizeof path, "%s/host.port", lab_directory);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "the lab has no port: %s", path);
    cr_assert_not_null(
        fgets(address + strlen(address), (int)(sizeof address - strlen(address)), file));
    fclose(file);
    address[strcspn(address, "\n")] = '\0';
    return address;
}

void wmi_server_share(struct wine *wine, const char *lab_directory)
{
    setenv("KVPBUS_LAB", address_of_lab(lab_directory), 1);
    wine_share(wine, "wine-wmi");
}

void wmi_server_start(struct wmi_server *server, const struct wine *wine, bool plain,
                      const char *const *options)
{
    const char *words[WINE_WORDS_MAX + 1] = {plain ? "tests/windows/wmi_server_plain.exe"
                                                   : "tests/windows/wmi_server.exe"};
    int input[2], output[2];
    for (size_t i = 0; options != NULL && options[i] != NULL; i++)
        words[i + 1] = options[i];
    cr_assert_eq(pipe2(input, O_CLOEXEC), 0);
    cr_assert_eq(pipe2(output, O_CLOEXEC), 0);
    server->pid = wine_start(wine, words, input[0], output[1]);
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
