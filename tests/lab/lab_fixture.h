// SPDX-License-Identifier: Apache-2.0
//
// A real lab with real daemons in a folder of its own, for one test. Everything asserts.
#ifndef KVPBUS_TESTS_LAB_FIXTURE_H
#define KVPBUS_TESTS_LAB_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "kvpbus/management.h"

// The third is only there with the option --windows-vm gamma.
enum { LAB_ALPHA, LAB_BETA, LAB_GAMMA, LAB_VMS };

struct lab {
    char directory[64], socket[96];
    pid_t pid; // 0: the lab does not run
    struct kvpbus_management *management;
    uint8_t guids[LAB_VMS][KVPBUS_GUID_BYTES];
};

// Words for the command line of every lab, beside those of the test; none unless set.
extern const char *lab_always;

// Starts a lab with the VMs alpha and beta and waits until it is ready. `options` are further words
// of the command line, separated by blanks.
void lab_start(struct lab *lab, const char *options);

// Ends it with SIGTERM; nothing may be left of it but the folder.
void lab_stop(struct lab *lab);

// lab_start again in the folder of before; lab_stop before and lab_remove at last.
void lab_start_again(struct lab *lab, const char *options);
void lab_remove(struct lab *lab);

// 127.0.0.1:PORT of a lab with --tcp, and its NUL.
enum { LAB_ADDRESS = 16 };
void lab_address(const struct lab *lab, char address[LAB_ADDRESS]);

// Runs kvpbus-lab with a command line whose "DIR" stands for the folder; returns the exit code.
// What it prints, on either stream, goes to `output` unless that is NULL.
int lab_program(const struct lab *lab, const char *command_line, char *output, size_t size);

// "ctl DIR <words>", which has to succeed.
void lab_ctl(const struct lab *lab, const char *words);

// One call with one item; the service has to answer.
struct kvpbus_call_result lab_call(const struct lab *lab, int vm, enum kvpbus_operation operation,
                                   const char *key, const char *value);

// One call with items kvpbus.<first> … of value "v<number>".
struct kvpbus_call_result lab_call_many(const struct lab *lab, int vm,
                                        enum kvpbus_operation operation, unsigned first,
                                        unsigned count);

// True when the call was accepted, had a job, and that completed.
bool lab_done(const struct kvpbus_call_result *result);

// The value of the first record with this key in a pool file; NULL when there is none. Static.
const char *lab_pool_value(const struct lab *lab, int vm, int pool, const char *key);

// What a program in the guest writes into pool 1.
void lab_guest_write(const struct lab *lab, int vm, const char *key, const char *value);

// What the conformance suite asks of the peer of a host's store: alpha of the lab `context`.
void lab_put_peer(void *context, const char *key, const char *value);
void lab_plant_foreign(void *context, const char *key, const char *value);
bool lab_foreign_intact(void *context, const char *key, const char *value);

// Reads the guest's items. Returns the result for this VM.
enum kvpbus_error lab_read(const struct lab *lab, int vm, struct kvpbus_scan *scan);

// The value that the host's configuration holds; NULL when there is none. Static.
const char *lab_host_value(const struct lab *lab, int vm, const char *key);
size_t lab_host_count(const struct lab *lab, int vm);

enum kvpbus_vm_state lab_state(const struct lab *lab, int vm);

// Waits until the VM is in the state, at most 5 s.
void lab_await_state(const struct lab *lab, int vm, enum kvpbus_vm_state state);

// The first line of DIR/vm/NAME/<name>. Static.
const char *lab_line(const struct lab *lab, int vm, const char *name);

// The process of a VM's daemon, 0 when there is none.
pid_t lab_daemon(const struct lab *lab, int vm);

void lab_sleep_ms(unsigned ms);

#endif
