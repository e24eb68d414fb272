// SPDX-License-Identifier: Apache-2.0
#include "log_target.h"

bool kvpbus_log_to_journal(void)
{
    return false;
}
