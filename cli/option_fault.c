// SPDX-License-Identifier: Apache-2.0
#include "option_fault.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

void kvpbus_option_fault(char *const *argv, int result, char text[KVPBUS_OPTION_FAULT])
{
    const char *word = argv[optind - 1];
    if (result == ':')
        snprintf(text, KVPBUS_OPTION_FAULT, "%.60s needs a value", word);
    else if (optopt != 0 && strncmp(word, "--", 2) != 0)
        snprintf(text, KVPBUS_OPTION_FAULT, "there is no option '-%c'", optopt);
    else
        snprintf(text, KVPBUS_OPTION_FAULT, "there is no option '%.60s'", word);
}
