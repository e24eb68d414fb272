// SPDX-License-Identifier: Apache-2.0
#include "service_control.h"

#include <stdio.h>
#include <string.h>

#include "exit_code.h"

void kvpbus_service_control_help(const char *program)
{
    (void)program; // the packages' units do it
}

int kvpbus_service_control(int argc, char **argv, const struct kvpbus_service_defaults *defaults,
                           kvpbus_service_run_fn *run)
{
    if (argc < 2 || strcmp(argv[1], "service") != 0)
        return run(argc, argv);
    fprintf(
        stderr,
        "%s: services are systemd's here: the package has the unit, and 'systemctl enable --now "
        "%s' starts it\n",
        defaults->program, defaults->program);
    return KVPBUS_EXIT_USAGE;
}
