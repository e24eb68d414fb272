// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "config.h"
#include "doctor.h"

static size_t unknown_said;
static char unknown_text[DOCTOR_TEXT];

static void note_unknown(const char *text)
{
    if (unknown_said++ == 0)
        snprintf(unknown_text, sizeof unknown_text, "%s", text);
}

void doctor_config(struct doctor *doctor)
{
    struct kvpbus_failure failure = {0};
    size_t unknown;
    if (doctor->config == NULL) {
        doctor_good(doctor, "config", "there is no configuration file, and none is needed");
        return;
    }
    enum kvpbus_error error =
        kvpbus_config_read(doctor->config, &doctor->arguments, note_unknown, &unknown, &failure);
    if (error == KVPBUS_OK && unknown == 0) {
        doctor_good(doctor, "config", "%s is right", doctor->config);
        return;
    }
    doctor_bad(doctor, "config", "%s", error != KVPBUS_OK ? failure.detail : unknown_text);
    doctor_mend(doctor, "correct %s, then: kvpbus-%s --config %s --check-config", doctor->config,
                doctor->host ? "host" : "guest", doctor->config);
}
