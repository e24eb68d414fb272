// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "config.h"
#include "doctor.h"
#include "guest_store.h"
#include "host_management.h"
#include "paths.h"

static size_t unknown_said;
static char unknown_text[DOCTOR_TEXT];

static void note_unknown(const char *text)
{
    if (unknown_said++ == 0)
        snprintf(unknown_text, sizeof unknown_text, "%s", text);
}

static const struct kvpbus_service_defaults *side_of(const struct doctor *doctor)
{
    static const struct kvpbus_service_defaults guest = {
        .role = KVPBUS_ROLE_GUEST,
        .state = KVPBUS_GUEST_STATE,
        .socket = KVPBUS_GUEST_SOCKET,
        .check_store = kvpbus_guest_store_check,
    };
    static const struct kvpbus_service_defaults host = {
        .role = KVPBUS_ROLE_HOST,
        .state = KVPBUS_HOST_STATE,
        .socket = KVPBUS_HOST_SOCKET,
        .check_store = kvpbus_host_management_check,
    };
    return doctor->host ? &host : &guest;
}

void doctor_config(struct doctor *doctor)
{
    struct kvpbus_service_arguments *arguments = &doctor->arguments;
    struct kvpbus_failure failure = {0};
    size_t unknown = 0;
    enum kvpbus_error error = KVPBUS_OK;
    if (doctor->config != NULL)
        error = kvpbus_config_read(doctor->config, arguments, note_unknown, &unknown, &failure);
    kvpbus_service_complete(side_of(doctor), arguments);
    if (doctor->config == NULL) {
        doctor_good(doctor, "config", "there is no configuration file, and none is needed");
        return;
    }
    if (error == KVPBUS_OK)
        error = kvpbus_service_arguments_check(side_of(doctor), arguments, &failure);
    if (error == KVPBUS_OK && unknown == 0) {
        doctor_good(doctor, "config", "%s is right", doctor->config);
        return;
    }
    doctor_bad(doctor, "config", "%s", error != KVPBUS_OK ? failure.detail : unknown_text);
    doctor_mend(doctor, "correct %s, then: kvpbus-%s --config %s --check-config", doctor->config,
                doctor->host ? "host" : "guest", doctor->config);
}
