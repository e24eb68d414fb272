// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "doctor.h"
#include "guest_store.h"
#include "paths.h"
#include "rotation.h"
#include "words.h"

enum { SEED_BYTES = 32 }; // of an identity

bool doctor_on_host(void)
{
    return access("/dev/vmbus/hv_kvp", F_OK) != 0 && access(KVPBUS_GUEST_STATE, F_OK) != 0 &&
           access(KVPBUS_HOST_STATE, F_OK) == 0;
}

// A file or folder of the state: nobody else may get at it.
static bool private_to_owner(struct doctor *doctor, const char *path, const struct stat *status,
                             uid_t owner, const char *mode)
{
    if ((status->st_mode & 077) != 0) {
        doctor_bad(doctor, "state", "%s can be used by others (mode %04o)", path,
                   (unsigned)status->st_mode & 07777);
        doctor_mend(doctor, "chmod %s %s", mode, path);
        return false;
    }
    if (status->st_uid != owner) {
        doctor_bad(doctor, "state", "%s belongs to user %u, its folder to %u", path,
                   (unsigned)status->st_uid, (unsigned)owner);
        doctor_mend(doctor, "chown %u %s", (unsigned)owner, path);
        return false;
    }
    return true;
}

static bool file_is_well(struct doctor *doctor, const char *name, uid_t owner)
{
    char path[KVPBUS_PATH_MAX + 32];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", doctor->arguments.state, name);
    if (lstat(path, &status) != 0) {
        if (errno == ENOENT)
            return true; // made at the first start
        doctor_bad(doctor, "state", "%s cannot be looked at: %s", path, strerror(errno));
        doctor_mend(doctor, "run it as root: sudo kvpbus doctor");
        return false;
    }
    if (!private_to_owner(doctor, path, &status, owner, "0600"))
        return false;
    // A key, and how it followed earlier ones.
    long long rest = (long long)status.st_size - SEED_BYTES;
    if (strcmp(name, "identity.key") != 0 ||
        (rest >= 0 && rest <= KVPBUS_ROTATION_MAX && rest % KVPBUS_STATEMENT_BYTES == 0))
        return true;
    doctor_bad(doctor, "state", "%s is damaged: no identity has %lld bytes", path,
               (long long)status.st_size);
    doctor_mend(doctor, "restore %s from a backup", path);
    return false;
}

void doctor_state(struct doctor *doctor)
{
    static const char *const files[] = {"identity.key", "journal", "journal-wal", "lock"};
    const char *path = doctor->arguments.state;
    struct stat status;
    bool well = true;
    if (stat(path, &status) != 0 && errno == ENOENT) {
        doctor_good(doctor, "state", "%s will be made at the first start", path);
        return;
    }
    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode)) {
        doctor_bad(doctor, "state", "%s is not a folder that can be used", path);
        doctor_mend(doctor, "move %s away; the service makes it anew", path);
        return;
    }
    if (!private_to_owner(doctor, path, &status, status.st_uid, "0700"))
        return;
    for (size_t i = 0; well && i < sizeof files / sizeof *files; i++)
        well = file_is_well(doctor, files[i], status.st_uid);
    if (well)
        doctor_good(doctor, "state", "%s is there for its owner alone", path);
}

// Lifetimes and histories go by the clock.
void doctor_clock(struct doctor *doctor)
{
    char path[KVPBUS_PATH_MAX + 32];
    struct stat status;
    snprintf(path, sizeof path, "%s/identity.key", doctor->arguments.state);
    if (stat(path, &status) != 0 || status.st_mtime <= time(NULL) + 60) {
        doctor_good(doctor, "clock", "it does not go behind what was written");
        return;
    }
    doctor_bad(doctor, "clock", "%s was written in the future: the clock is slow", path);
    doctor_mend(doctor, "set the clock: timedatectl set-ntp true");
}

static bool runs(const char *name)
{
    DIR *processes = opendir("/proc");
    bool found = false;
    for (struct dirent *entry; !found && processes != NULL && (entry = readdir(processes));) {
        char path[sizeof entry->d_name + 16], text[32] = "";
        snprintf(path, sizeof path, "/proc/%s/comm", entry->d_name);
        FILE *file = entry->d_name[0] >= '0' && entry->d_name[0] <= '9' ? fopen(path, "re") : NULL;
        if (file == NULL)
            continue;
        found = fgets(text, sizeof text, file) != NULL && strncmp(text, name, strlen(name)) == 0;
        fclose(file);
    }
    if (processes != NULL)
        closedir(processes);
    return found;
}

void doctor_guest_store(struct doctor *doctor)
{
    static const char kind[] = "pool:";
    const char *directory = "/var/lib/hyperv";
    char path[KVPBUS_PATH_MAX + 32];
    struct kvpbus_store *store;
    struct kvpbus_failure failure = {0};
    enum kvpbus_error error =
        kvpbus_guest_store_open(doctor->arguments.store, "kvpbus", &store, &failure);
    if (error == KVPBUS_OK)
        kvpbus_store_close(store);
    if (error == KVPBUS_INVALID_ARGUMENT) {
        doctor_bad(doctor, "store", "%s", failure.detail);
        doctor_mend(doctor, KVPBUS_WORD_DOCTOR_STORE);
        return;
    }
    if (strncmp(doctor->arguments.store, kind, strlen(kind)) == 0)
        directory = doctor->arguments.store + strlen(kind);
    else if (access("/dev/vmbus/hv_kvp", F_OK) != 0) {
        doctor_bad(doctor, "hyper-v",
                   "there is no /dev/vmbus/hv_kvp: this is no Hyper-V guest, or Data Exchange is "
                   "switched off");
        doctor_mend(doctor, "on the host: Enable-VMIntegrationService -VMName NAME -Name "
                            "'Key-Value Pair Exchange'");
        return;
    }
    snprintf(path, sizeof path, "%s/.kvp_pool_0", directory);
    if (access(path, R_OK) != 0) {
        doctor_bad(doctor, "store", "%s cannot be read: %s", path, strerror(errno));
        doctor_mend(doctor, "apt install hyperv-daemons");
    } else if (!runs("hv_kvp_daemon")) {
        doctor_bad(doctor, "store", "hv_kvp_daemon does not run");
        doctor_mend(doctor, "systemctl enable --now hv-kvp-daemon");
    } else {
        doctor_good(doctor, "store", "hv_kvp_daemon runs, and its pools are in %s", directory);
    }
}

void doctor_mend_management(struct doctor *doctor, enum kvpbus_error error)
{
    (void)error;
    doctor_mend(doctor, "start the lab, or name its socket as store in the configuration");
}
