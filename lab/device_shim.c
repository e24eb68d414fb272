// SPDX-License-Identifier: Apache-2.0
//
// Preloaded into the unmodified hv_kvp_daemon of a lab VM. It stands in for two things that the
// daemon expects of its machine: /dev/vmbus/hv_kvp becomes a connection to the lab, whose packets
// have the boundaries that the driver's messages have, and the system log becomes standard error,
// which the lab keeps in the VM's daemon.log.
//
// It is built without sanitizers, since the daemon is.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

// The device of the KVP service, and the variable in which the lab names the socket for it.
#define DEVICE "/dev/vmbus/hv_kvp"
#define SOCKET_VARIABLE "KVPBUS_LAB_DEVICE"

// A daemon in a loop of errors must not fill the disk.
enum { LOG_LINES_MAX = 10000 };

int open(const char *path, int flags, ...);
int open64(const char *path, int flags, ...);
void openlog(const char *ident, int option, int facility);
__attribute__((format(printf, 2, 3))) void syslog(int priority, const char *format, ...);
__attribute__((format(printf, 3, 4))) void __syslog_chk(int priority, int flag, const char *format,
                                                        ...);

static int connect_device(void)
{
    const char *path = getenv(SOCKET_VARIABLE);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || strlen(path) >= sizeof address.sun_path) {
        errno = ENOENT;
        return -1;
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static int open_file(const char *path, int flags, mode_t mode)
{
    if (strcmp(path, DEVICE) == 0)
        return connect_device();
    int (*real)(const char *, int, ...) = NULL;
    // POSIX promises that the pointer converts; ISO C does not, hence through memcpy.
    void *symbol = dlsym(RTLD_NEXT, "open");
    memcpy(&real, &symbol, sizeof real);
    if (real == NULL) {
        errno = ENOSYS;
        return -1;
    }
    return real(path, flags, mode);
}

static mode_t mode_of(int flags, va_list arguments)
{
    bool creates = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
    return creates ? va_arg(arguments, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_file(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_file(path, flags, mode);
}

void openlog(const char *ident, int option, int facility)
{
    (void)ident;
    (void)option;
    (void)facility;
}

__attribute__((format(printf, 2, 0))) static void log_line(int priority, const char *format,
                                                           va_list arguments)
{
    static int lines = 0;
    if (lines >= LOG_LINES_MAX)
        return;
    lines++;
    char text[1024];
    int length = vsnprintf(text, sizeof text, format, arguments);
    while (length > 0 && (size_t)length < sizeof text && text[length - 1] == '\n')
        text[--length] = '\0';
    fprintf(stderr, "<%d> %s\n", priority & 7, text);
}

void syslog(int priority, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_line(priority, format, arguments);
    va_end(arguments);
}

// What a daemon that was built with _FORTIFY_SOURCE calls instead.
void __syslog_chk(int priority, int flag, const char *format, ...)
{
    (void)flag;
    va_list arguments;
    va_start(arguments, format);
    log_line(priority, format, arguments);
    va_end(arguments);
}
