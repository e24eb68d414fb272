// SPDX-License-Identifier: Apache-2.0
//
// kvpbus-guest generalize: makes a machine an image, from which each clone comes with a key of its
// own.
#ifndef KVPBUS_GENERALIZE_H
#define KVPBUS_GENERALIZE_H

// Its words as argv, beginning with "generalize"; returns the exit code.
int kvpbus_generalize(int argc, char **argv);

#endif
