// SPDX-License-Identifier: Apache-2.0
//
// Where an installed service keeps its things unless it is told otherwise. The units of systemd,
// the tmpfiles and the manual pages name the same.
#ifndef KVPBUS_PATHS_H
#define KVPBUS_PATHS_H

#define KVPBUS_HOST_CONFIG "/etc/kvpbus/host.conf"
#define KVPBUS_GUEST_CONFIG "/etc/kvpbus/guest.conf"
#define KVPBUS_TRUSTED_HOST "/etc/kvpbus/trusted_host"
#define KVPBUS_KNOWN_GUESTS "/etc/kvpbus/known_guests"
#define KVPBUS_ENROLL_TOKEN "/etc/kvpbus/enroll.token"
#define KVPBUS_ENROLL_CREDENTIAL "kvpbus.enroll"
#define KVPBUS_HOST_STATE "/var/lib/kvpbus-host"
#define KVPBUS_GUEST_STATE "/var/lib/kvpbus-guest"
#define KVPBUS_HOST_SOCKET "/run/kvpbus-host/socket"
#define KVPBUS_GUEST_SOCKET "/run/kvpbus-guest/socket"
// This system has no Hyper-V of its own, only the stand-in.
#define KVPBUS_LAB_SOCKET "/run/kvpbus-lab/host.sock"

#endif
