// SPDX-License-Identifier: Apache-2.0
//
// What is wrong with an option of the command line, in words: getopt's own would be a second line.
#ifndef KVPBUS_OPTION_FAULT_H
#define KVPBUS_OPTION_FAULT_H

enum { KVPBUS_OPTION_FAULT = 128 };

// After getopt_long, with opterr 0 and an option string that begins with ":", gave '?' or ':'.
void kvpbus_option_fault(char *const *argv, int result, char text[KVPBUS_OPTION_FAULT]);

#endif
