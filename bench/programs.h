// SPDX-License-Identifier: Apache-2.0
//
// Programs of a build, started for a measurement, and the folder that they work in. Every function
// here ends the program with 1 when something fails, and says what.
#ifndef KVPBUS_BENCH_PROGRAMS_H
#define KVPBUS_BENCH_PROGRAMS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { BENCH_CHILDREN_MAX = 300 };

struct bench_programs {
    char build[PATH_MAX]; // folder of the programs
    char directory[64];   // everything that this run writes; gone afterwards
    pid_t children[BENCH_CHILDREN_MAX];
    size_t count;
};

// Makes the folder. `build` NULL: the build that this program is of. One at a time.
void bench_programs_begin(struct bench_programs *programs, const char *build);
// Ends the programs, the last one first, and removes the folder; also when this program ends
// otherwise.
void bench_programs_end(void);

// Starts BUILD/program in the folder, with its output in the file `log` there. The words end with
// NULL, here and below. Returns the process.
pid_t bench_start(struct bench_programs *programs, const char *program, const char *log,
                  const char *const *words);
// Runs one and waits for it; what it printed is in `output`, if there is one. Its exit code.
int bench_run(const struct bench_programs *programs, const char *program, const char *const *words,
              char *output, size_t size);
// Runs `kvpbus` at the socket, a path in the folder. True: it ended with 0.
bool bench_kvpbus(const struct bench_programs *programs, const char *socket,
                  const char *const *words, char *output, size_t size);
// Tries that until it succeeds and, with `text`, prints it.
void bench_await(const struct bench_programs *programs, const char *socket,
                 const char *const *words, const char *text);
// Pairs two sides: each is told the other's fingerprint. `peer` is the VM's name.
void bench_pair(const struct bench_programs *programs, const char *host_socket, const char *peer,
                const char *guest_socket);
// Starts the lab, whose words these are, in the folder "lab", and waits until it is ready.
void bench_start_lab(struct bench_programs *programs, const char *const *words);
// The lab's counters as JSON.
void bench_lab_stats(const struct bench_programs *programs, char *output, size_t size);

__attribute__((format(printf, 1, 2), noreturn)) void bench_die(const char *format, ...);
double bench_seconds(void);
void bench_pause_ms(unsigned ms);

#endif
