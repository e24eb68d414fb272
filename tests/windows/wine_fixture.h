// SPDX-License-Identifier: Apache-2.0
//
// Wine for Criterion tests: prefixes of their own (scripts/wine.bash) and programs in them, which
// are those of the build folder of the preset mingw. Everything asserts.
#ifndef KVPBUS_TESTS_WINE_FIXTURE_H
#define KVPBUS_TESTS_WINE_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { WINE_WORDS_MAX = 15 };

struct wine {
    char directory[200]; // with the prefix and whatever else a test has
    char prefix[216];
};

// A new prefix; with `guest` one that has the registry keys of a Hyper-V guest.
void wine_make(struct wine *wine, bool guest);

// One for all tests that leave nothing behind in it, in a folder of the build folder; it is made at
// the first use and stays.
void wine_share(struct wine *wine, const char *folder);

// The prefix that scripts/wine-lab makes for a lab that runs in the folder.
void wine_make_lab(struct wine *wine, const char *lab);

// A server that went away between two programs would be a system that starts anew, and with it its
// services: from here on it stays until wine_remove.
void wine_stay(const struct wine *wine);

// Ends what still runs in it, and removes it.
void wine_remove(struct wine *wine);

// Starts a program, words[0], a path below the build folder ("tests/windows/x.exe") or the name of
// one of Wine's; the words end with NULL. Descriptors that are -1 are /dev/null, except for
// standard error, which is the test's own.
pid_t wine_start(const struct wine *wine, const char *const *words, int input, int output);

// Runs one to its end; its output goes to `output`, with the line ends of Linux. Returns its exit
// code, which Wine cuts to 8 bits and which is 0 also when Wine could not start it at all: what a
// program has to say is to be checked as well.
int wine_run(const struct wine *wine, const char *const *words, char *output, size_t size);

// The same with standard error behind standard output.
int wine_run_both(const struct wine *wine, const char *const *words, char *output, size_t size);

// Runs a program of checks (check.h): true when it says at last that it ran `checks` or more of
// them, and that all held. What it says goes to standard error when not.
bool wine_checks(const struct wine *wine, const char *const *words, unsigned checks);

#endif
