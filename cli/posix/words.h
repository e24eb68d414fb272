// SPDX-License-Identifier: Apache-2.0
//
// What people are told differently on other systems.
#ifndef KVPBUS_WORDS_H
#define KVPBUS_WORDS_H

#define KVPBUS_WORD_STORES "pool:DIR in a guest, lab:PATH on a host"
#define KVPBUS_WORD_SOCKET "a path; the one that kvpbus(1) knows unless given"
#define KVPBUS_WORD_RELOAD "on SIGHUP"
#define KVPBUS_WORD_METRICS                                                                      \
    "unix:PATH, or 127.0.0.1:PORT or [::1]:PORT, which every user of the machine can read; off " \
    "unless given"
#define KVPBUS_WORD_LOG_FORMAT "How lines are logged; in systemd's journal each has its priority."
#define KVPBUS_WORD_ELEVATED "use sudo, or the service's user"
#define KVPBUS_WORD_TOKEN_PLACE "/etc/kvpbus/enroll.token, mode 0600"
#define KVPBUS_WORD_TOKEN_GUARD "mode 0600"
#define KVPBUS_WORD_SUDO "sudo "
#define KVPBUS_WORD_OWNER "root makes it, or the service's user"
#define KVPBUS_WORD_BACKUP "/srv/backup/kvpbus-$(date +%F)"
#define KVPBUS_WORD_CONFIG_PLACE "/etc/kvpbus"
#define KVPBUS_WORD_FOUND "/run"
#define KVPBUS_WORD_METRICS_TOO                                                          \
    "The service gives them over HTTP as well when its option 'metrics' says where.\n\n" \
    "  kvpbus metrics | grep kvpbus_link_up\n"
// Of a side that is named by a literal.
#define KVPBUS_WORD_STOP(side) "systemctl stop kvpbus-" side
#define KVPBUS_WORD_RESTART(side) "systemctl restart kvpbus-" side
#define KVPBUS_WORD_READ_AGAIN(side) "systemctl reload kvpbus-" side
#define KVPBUS_WORD_DOCTOR_ELEVATED "run it as root: sudo kvpbus doctor"
#define KVPBUS_WORD_DOCTOR_HOST ""
#define KVPBUS_WORD_DOCTOR_STORE "correct store in the configuration"
#define KVPBUS_WORD_DOCTOR_ACCESS "sudo kvpbus doctor, or join the group of"
#define KVPBUS_WORD_REMOVE "rm"
#define KVPBUS_WORD_SEPARATORS "/"
#define KVPBUS_WORD_POWER_OFF "poweroff"
#define KVPBUS_WORD_GUEST_STORE "the pool files"
#define KVPBUS_WORD_MANUAL "kvpbus(1)"
#define KVPBUS_WORD_EXIT_CODES "kvpbus(1)"
#define KVPBUS_WORD_OPTIONS_LISTED "kvpbus.conf(5) lists them"
#define KVPBUS_WORD_CONFIG_MORE "; kvpbus.conf(5) tells more"

#endif
