// SPDX-License-Identifier: Apache-2.0
//
// What can be wrong with an installation, each looked at alone and without the service.
#ifndef KVPBUS_DOCTOR_H
#define KVPBUS_DOCTOR_H

#include "command.h"
#include "service_main.h"

enum { DOCTOR_TEXT = 320 };

struct doctor_finding {
    const char *check;
    bool good;
    char says[DOCTOR_TEXT], mend[DOCTOR_TEXT]; // mend: one line that can be followed
};

struct doctor {
    bool host;
    const char *config; // NULL: there is none
    struct kvpbus_service_arguments arguments;
    struct doctor_finding *findings; // one for each VM that the service knows, and few besides
    size_t count, room;
};

void doctor_good(struct doctor *doctor, const char *check, const char *says, ...)
    KVPBUS_PRINTF(3, 4);
// What helps, is said next.
void doctor_bad(struct doctor *doctor, const char *check, const char *says, ...)
    KVPBUS_PRINTF(3, 4);
void doctor_mend(struct doctor *doctor, const char *mend, ...) KVPBUS_PRINTF(2, 3);

// doctor_installation.c: looks at all of it and says what was found; returns an exit code.
int doctor_installation(const struct kvpbus_command_context *context, struct doctor *doctor);

// doctor_config.c: the configuration, which the others go by then, with what holds where it says
// nothing.
void doctor_config(struct doctor *doctor);

// doctor_machine_posix.c, doctor_machine_windows.c: which side this is, as far as can be seen;
// folder, clock, the guest's store; what helps where the host's management service is not there.
bool doctor_on_host(void);
void doctor_state(struct doctor *doctor);
void doctor_clock(struct doctor *doctor);
void doctor_guest_store(struct doctor *doctor);
void doctor_mend_management(struct doctor *doctor, enum kvpbus_error error);

// doctor_trust.c: files of trusted keys, tokens.
void doctor_trust(struct doctor *doctor);

#endif
