// SPDX-License-Identifier: Apache-2.0
//
// Where an installed service keeps its things unless it is told otherwise. %ProgramData% stands for
// the folder that Windows calls so; whatever opens a path knows it. The manual pages name the same.
#ifndef KVPBUS_PATHS_H
#define KVPBUS_PATHS_H

#define KVPBUS_HOST_CONFIG "%ProgramData%\\kvpbus\\host.conf"
#define KVPBUS_GUEST_CONFIG "%ProgramData%\\kvpbus\\guest.conf"
#define KVPBUS_TRUSTED_HOST "%ProgramData%\\kvpbus\\trusted_host"
#define KVPBUS_KNOWN_GUESTS "%ProgramData%\\kvpbus\\known_guests"
#define KVPBUS_ENROLL_TOKEN "%ProgramData%\\kvpbus\\enroll.token"
#define KVPBUS_HOST_STATE "%ProgramData%\\kvpbus\\host"
#define KVPBUS_GUEST_STATE "%ProgramData%\\kvpbus\\guest"
#define KVPBUS_HOST_SOCKET "\\\\.\\pipe\\kvpbus-host"
#define KVPBUS_GUEST_SOCKET "\\\\.\\pipe\\kvpbus-guest"

#endif
