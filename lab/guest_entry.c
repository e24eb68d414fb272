// SPDX-License-Identifier: Apache-2.0
//
// From the lab's child to the guest's daemon: a mount namespace in which /var/lib/hyperv is the
// VM's folder, then exec. Runs as root, or in a user namespace of its own where those are allowed.
// Nothing of it outlives the process: the mounts go with the namespace.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest_process.h"

// The daemon's folder is built into it.
#define POOLS "/var/lib/hyperv"
#define POOLS_PARENT "/var/lib"

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t written = write(fd, text, strlen(text));
    return close(fd) == 0 && written == (ssize_t)strlen(text);
}

static bool enter_user_namespace(void)
{
    unsigned uid = (unsigned)geteuid();
    unsigned gid = (unsigned)getegid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return false;
    char map[64];
    snprintf(map, sizeof map, "0 %u 1", uid);
    bool mapped =
        write_file("/proc/self/uid_map", map) && write_file("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", gid);
    return mapped && write_file("/proc/self/gid_map", map);
}

// The folder may be missing where hyperv-daemons never ran; it is then made on a small file system
// over /var/lib, of which the daemon needs nothing else.
static bool mount_pools(const char *folder)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return false;
    int source = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (source < 0)
        return false;
    struct stat status;
    if (stat(POOLS, &status) != 0 &&
        (mount("lab", POOLS_PARENT, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=755") != 0 ||
         mkdir(POOLS, 0755) != 0))
        return false;
    // Through the descriptor: the folder itself may lie under /var/lib.
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", source);
    return mount(path, POOLS, NULL, MS_BIND, NULL) == 0;
}

int kvpbus_lab_guest_entry(int argc, char **argv)
{
    if (argc != 4)
        return KVPBUS_LAB_EXIT_CANNOT_ENTER;
    if (!(geteuid() == 0 && unshare(CLONE_NEWNS) == 0) && !enter_user_namespace()) {
        fprintf(stderr, "no mount namespace: %s\n", strerror(errno));
        return KVPBUS_LAB_EXIT_CANNOT_ENTER;
    }
    if (!mount_pools(argv[2])) {
        fprintf(stderr, "cannot mount %s on " POOLS ": %s\n", argv[2], strerror(errno));
        return KVPBUS_LAB_EXIT_CANNOT_ENTER;
    }
    // After the namespace, whose new credentials would clear it. The parent may be gone already.
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != (pid_t)strtol(argv[1], NULL, 10))
        return KVPBUS_LAB_EXIT_CANNOT_ENTER;
    const char *shim = getenv("KVPBUS_LAB_PRELOAD");
    if (shim == NULL || setenv("LD_PRELOAD", shim, 1) != 0)
        return KVPBUS_LAB_EXIT_CANNOT_ENTER;
    execl(argv[3], argv[3], "-n", (char *)NULL);
    fprintf(stderr, "cannot execute %s: %s\n", argv[3], strerror(errno));
    return KVPBUS_LAB_EXIT_CANNOT_EXECUTE;
}
