// SPDX-License-Identifier: Apache-2.0
//
// wmi_server.exe under Wine, for tests whose labs run with --tcp. Everything asserts.
#ifndef KVPBUS_TESTS_WMI_SERVER_FIXTURE_H
#define KVPBUS_TESTS_WMI_SERVER_FIXTURE_H

#include <stdbool.h>
#include <stdio.h>

#include "kvpbus/error.h"
#include "wine_fixture.h"

struct wmi_server {
    pid_t pid;
    int input;
    FILE *output;
    char line[512]; // its first: "port N", or "error N: why"
    unsigned port;
    enum kvpbus_error error; // of opening the management service
    char address[32];        // for kvpbus_lab_management_open
    long held, objects;      // of COM, once it has ended
};

// The Wine prefix that tests share, for programs whose WMI is the lab of this folder.
void wmi_server_share(struct wine *wine, const char *lab_directory);

// Starts it, or with `plain` one whose WMI has no IWbemObjectTextSrc; the options end with NULL.
void wmi_server_start(struct wmi_server *server, const struct wine *wine, bool plain,
                      const char *const *options);
void wmi_server_end(struct wmi_server *server);

#endif
