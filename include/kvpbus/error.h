// SPDX-License-Identifier: Apache-2.0
//
// Every error of kvpbus: one list gives the enum, the names and the texts.
#ifndef KVPBUS_ERROR_H
#define KVPBUS_ERROR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// X(name, number, text); numbers are stable, texts say what is wrong and what helps.
#define KVPBUS_ERROR_MAP(X)                                                                    \
    X(OK, 0, "no error")                                                                       \
    X(NOMEM, 1, "out of memory")                                                               \
    X(INVALID_ARGUMENT, 2, "an argument is not valid")                                         \
    X(TOO_LARGE, 3, "larger than the configured limit")                                        \
    X(NOT_FOUND, 4, "there is no such thing")                                                  \
    X(EXISTS, 5, "it exists already")                                                          \
    X(ACCESS, 6, "access denied; run as the service's user or as an administrator")            \
    X(NO_SPACE, 7, "the disk is full; free some space")                                        \
    X(IO, 8, "reading or writing a file failed")                                               \
    X(TIMEOUT, 9, "no answer within the deadline")                                             \
    X(CLOSED, 10, "the connection was closed")                                                 \
    X(BUSY, 11, "busy; try again")                                                             \
    X(BAD_ITEM, 20, "the value is not an item that can be believed")                           \
    X(BAD_PACKET, 21, "the packet breaks the protocol")                                        \
    X(BAD_BUNDLE, 22, "the bundle breaks the protocol")                                        \
    X(BAD_SIGNATURE, 23, "the signature does not verify")                                      \
    X(BAD_KEY, 24, "the key is not the expected one")                                          \
    X(BAD_HELLO, 25, "the hello breaks the protocol")                                          \
    X(UNPAIRED, 26, "not paired; use 'kvpbus pair'")                                           \
    X(BAD_TOPIC, 27, "not a topic: names of letters, digits, _ and - joined by dots")          \
    X(BAD_STREAM, 28, "not a stream name: up to 64 printable characters without a space")      \
    X(QUOTA, 29, "the quota is used up; wait until messages are delivered or consumed")        \
    X(CREDIT, 30, "the peer sent more than it had credit for")                                 \
    X(BAD_TOKEN, 31, "the enrolment token cannot be used; 'kvpbus enroll' makes another")      \
    X(STORE_GONE, 40, "the store is not there; is Data Exchange running in the VM?")           \
    X(STORE_READ_ONLY, 41, "the store cannot be written")                                      \
    X(STORE_FULL, 42, "the store is full")                                                     \
    X(STORE_TOO_MANY, 43, "the store takes no more items")                                     \
    X(STORE_BUSY, 44, "the store is locked or busy; it is tried again")                        \
    X(STORE_REJECTED, 45, "the store refused the item")                                        \
    X(STORE_UNKNOWN, 46, "the write may or may not have happened; the store is read back")     \
    X(VM_UNKNOWN, 47, "there is no such VM; 'kvpbus vms' lists them")                          \
    X(VM_AMBIGUOUS, 48, "several VMs have this name; use the GUID")                            \
    X(VM_OFF, 49, "the VM is not running")                                                     \
    X(EXCHANGE_DISABLED, 50, "Data Exchange is switched off for the VM; switch it on")         \
    X(JOURNAL_DAMAGED, 60, "the journal is damaged; restore it from a backup or move it away") \
    X(JOURNAL_NEWER, 61, "the journal was written by a newer version; install that version")   \
    X(JOURNAL_LOCKED, 62, "another process uses the journal; stop it first")                   \
    X(JOURNAL_FULL, 63, "the journal has reached its size limit; consume or delete messages")  \
    X(SECOND_WRITER, 64, "another program writes with this identity; stop one of the two")     \
    X(NOT_HYPERV, 65, "this machine is not a Hyper-V guest")                                   \
    X(NO_DAEMON, 66, "the kvpbus service does not answer; start it")                           \
    X(PROTOCOL, 67, "the other program does not speak this protocol")                          \
    X(CONFIG, 68, "the configuration is not valid")                                            \
    X(UNSUPPORTED, 69, "not supported here")                                                   \
    X(INTERNAL, 70, "an internal error; please report it")

enum kvpbus_error {
#define X(name, number, text) KVPBUS_##name = number,
    KVPBUS_ERROR_MAP(X)
#undef X
};

// "STORE_FULL" and its text; both static, never NULL. Any thread.
const char *kvpbus_error_name(enum kvpbus_error error);
const char *kvpbus_error_text(enum kvpbus_error error);

// An error with its context. Set to zeros it says KVPBUS_OK.
struct kvpbus_failure {
    enum kvpbus_error code;
    int64_t os_code;  // errno, Win32 error or HRESULT that it came from; 0 none
    char detail[240]; // UTF-8, one sentence: which VM, key or file, what was wrong, what to do
};

// mingw-w64 has another printf than the compiler takes Windows to have; the build names it.
#ifndef KVPBUS_PRINTF_STYLE
#define KVPBUS_PRINTF_STYLE printf
#endif
#if defined(__GNUC__)
#define KVPBUS_PRINTF(text, arguments) __attribute__((format(KVPBUS_PRINTF_STYLE, text, arguments)))
#else
#define KVPBUS_PRINTF(text, arguments)
#endif

// Fills *failure, which may be NULL, with os_code 0, and returns `code`. A text that is too long
// for `detail` is cut, here and below, never within a character. Any thread.
enum kvpbus_error kvpbus_fail(struct kvpbus_failure *failure, enum kvpbus_error code,
                              const char *format, ...) KVPBUS_PRINTF(3, 4);

#ifdef __clang_analyzer__
// What the static analyzer cannot see from a declaration: the code comes back as it was given.
#define kvpbus_fail(failure, code, ...) (kvpbus_fail(failure, code, __VA_ARGS__), (code))
#endif

// Puts "<text>: " before the detail: the context that a caller further up knows. Of the text 100
// bytes are kept, of the detail 130. `failure` may be NULL. Any thread.
void kvpbus_failure_wrap(struct kvpbus_failure *failure, const char *format, ...)
    KVPBUS_PRINTF(2, 3);

#ifdef __cplusplus
}
#endif

#endif
