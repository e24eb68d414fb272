// SPDX-License-Identifier: Apache-2.0
//
// What people are told differently on other systems.
#ifndef KVPBUS_WORDS_H
#define KVPBUS_WORDS_H

#define KVPBUS_WORD_STORES \
    "registry or registry:auto in a guest, wmi or lab:127.0.0.1:PORT on a host"
#define KVPBUS_WORD_SOCKET \
    "a pipe of this machine, \\\\.\\pipe\\NAME; the one that kvpbus.exe knows unless given"
#define KVPBUS_WORD_RELOAD "at the next start"
#define KVPBUS_WORD_METRICS \
    "none, for there is no listener on Windows; 'kvpbus metrics' prints the figures"
#define KVPBUS_WORD_LOG_FORMAT "How lines are logged."
#define KVPBUS_WORD_ELEVATED "use an elevated prompt"
#define KVPBUS_WORD_TOKEN_PLACE \
    "/etc/kvpbus/enroll.token, mode 0600, or in Windows %ProgramData%\\kvpbus\\enroll.token"
#define KVPBUS_WORD_TOKEN_GUARD "for SYSTEM and Administrators alone"
#define KVPBUS_WORD_SUDO ""
#define KVPBUS_WORD_OWNER "an administrator makes it"
#define KVPBUS_WORD_BACKUP "D:\\backup\\kvpbus"
#define KVPBUS_WORD_CONFIG_PLACE "%ProgramData%\\kvpbus"
#define KVPBUS_WORD_FOUND "its pipe"
#define KVPBUS_WORD_METRICS_TOO                                                                  \
    "Prometheus' exporter for Windows reads a file that it is written to, say by a task every\n" \
    "minute.\n\n"                                                                                \
    "  kvpbus metrics | findstr kvpbus_link_up\n"
// Of a side that is named by a literal; the second can be typed whether it runs or not.
#define KVPBUS_WORD_STOP(side) "kvpbus-" side " service stop"
#define KVPBUS_WORD_RESTART(side) KVPBUS_WORD_STOP(side) " && kvpbus-" side " service start"
#define KVPBUS_WORD_READ_AGAIN(side) KVPBUS_WORD_RESTART(side)
#define KVPBUS_WORD_DOCTOR_ELEVATED "run it in an elevated prompt (run as administrator)"
#define KVPBUS_WORD_DOCTOR_HOST                                  \
    "  --hyperv-host NAME, --credentials FILE, --namespace v1\n" \
    "                   as of kvpbus-host; as the service was installed with them\n"
#define KVPBUS_WORD_DOCTOR_STORE "correct store in the configuration"
#define KVPBUS_WORD_DOCTOR_ACCESS "run it in an elevated prompt; only administrators may use"
#define KVPBUS_WORD_REMOVE "del"
#define KVPBUS_WORD_SEPARATORS "/\\"
#define KVPBUS_WORD_POWER_OFF "shutdown /s /t 0"
#define KVPBUS_WORD_GUEST_STORE "the registry"
// What is in the folder docs beside the programs.
#define KVPBUS_WORD_MANUAL "the folder docs"
#define KVPBUS_WORD_EXIT_CODES "docs/windows.md"
#define KVPBUS_WORD_OPTIONS_LISTED "--print-config lists them"
#define KVPBUS_WORD_CONFIG_MORE ""

#endif
