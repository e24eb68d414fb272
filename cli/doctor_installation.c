// SPDX-License-Identifier: Apache-2.0
//
// What is wrong with this installation, and how to mend it.
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"
#include "file.h"
#include "host_management.h"
#include "kvpbus/bus.h"
#include "paths.h"
#include "utf8.h"
#include "words.h"

enum {
    ANSWER_WITHIN = 5000, // ms
    DISK_LEAST = 64,      // MiB
};

static struct doctor_finding *next_finding(struct doctor *doctor)
{
    enum { ROOM_FIRST = 32 };
    if (doctor->count == doctor->room) {
        size_t room = doctor->room == 0 ? ROOM_FIRST : 2 * doctor->room;
        struct doctor_finding *grown = realloc(doctor->findings, room * sizeof *grown);
        if (grown == NULL)
            abort();
        doctor->findings = grown;
        doctor->room = room;
    }
    struct doctor_finding *finding = &doctor->findings[doctor->count++];
    memset(finding, 0, sizeof *finding);
    return finding;
}

static void KVPBUS_PRINTF(4, 0)
    found(struct doctor *doctor, const char *check, bool good, const char *says, va_list arguments)
{
    struct doctor_finding *finding = next_finding(doctor);
    finding->check = check;
    finding->good = good;
    vsnprintf(finding->says, sizeof finding->says, says, arguments);
    kvpbus_utf8_mend(finding->says);
}

void doctor_good(struct doctor *doctor, const char *check, const char *says, ...)
{
    va_list arguments;
    va_start(arguments, says);
    found(doctor, check, true, says, arguments);
    va_end(arguments);
}

void doctor_bad(struct doctor *doctor, const char *check, const char *says, ...)
{
    va_list arguments;
    va_start(arguments, says);
    found(doctor, check, false, says, arguments);
    va_end(arguments);
}

void doctor_mend(struct doctor *doctor, const char *mend, ...)
{
    struct doctor_finding *finding = &doctor->findings[doctor->count - 1];
    va_list arguments;
    va_start(arguments, mend);
    vsnprintf(finding->mend, sizeof finding->mend, mend, arguments);
    kvpbus_utf8_mend(finding->mend);
    va_end(arguments);
}

// --- disk and store ---

static void look_at_disk(struct doctor *doctor)
{
    uint64_t bytes;
    const char *path = doctor->arguments.state;
    if (!kvpbus_folder_free(path, &bytes))
        return; // no folder yet, which is said
    unsigned long long free_mib = bytes >> 20;
    if (free_mib >= DISK_LEAST) {
        doctor_good(doctor, "disk", "%llu MiB are free", free_mib);
        return;
    }
    doctor_bad(doctor, "disk", "only %llu MiB are free for the journal in %s", free_mib, path);
    doctor_mend(doctor, "free %d MiB or more there", DISK_LEAST);
}

static void look_at_management(struct doctor *doctor)
{
    struct kvpbus_management *management;
    struct kvpbus_failure failure = {0};
    enum kvpbus_error error =
        kvpbus_host_management_open(doctor->arguments.store, &management, &failure);
    if (error == KVPBUS_OK) {
        management->ops->close(management);
        doctor_good(doctor, "store", "the management service answers");
        return;
    }
    doctor_bad(doctor, "store", "%s", failure.detail);
    if (error == KVPBUS_INVALID_ARGUMENT)
        doctor_mend(doctor, KVPBUS_WORD_DOCTOR_STORE);
    else
        doctor_mend_management(doctor, error);
}

// --- the service ---

static void look_at_peer(struct doctor *doctor, const Kvpbus__Control__Peer *peer)
{
    if (!peer->paired) {
        doctor_bad(doctor, "pairing", "%s is not paired", peer->name);
        if (peer->pending_fingerprint[0] != '\0')
            doctor_mend(doctor, "kvpbus pair %s", peer->name);
        else if (doctor->host)
            doctor_mend(doctor,
                        "kvpbus enroll %s --out FILE, and FILE into the VM; or start kvpbus "
                        "there, then: kvpbus pair %s",
                        peer->name, peer->name);
        else
            doctor_mend(doctor,
                        "a token that 'kvpbus enroll' made on the host, as %s; or start kvpbus "
                        "there, then: kvpbus pair %s",
                        KVPBUS_ENROLL_TOKEN, peer->name);
    } else if (strstr(peer->why, "Data Exchange") != NULL) {
        doctor_bad(doctor, "exchange", "%s: %s", peer->name, peer->why);
        doctor_mend(doctor,
                    "Enable-VMIntegrationService -VMName %s -Name 'Key-Value Pair Exchange'",
                    peer->name);
    } else {
        doctor_good(doctor, "pairing", "%s is paired: %s", peer->name, peer->state);
    }
}

static void mend_service(struct doctor *doctor, enum kvpbus_error error, bool connected,
                         const char *socket)
{
    if (error == KVPBUS_ACCESS)
        doctor_mend(doctor, KVPBUS_WORD_DOCTOR_ACCESS " %s", socket);
    else if (error == KVPBUS_BUSY && connected)
        doctor_mend(doctor, "end some of its clients, then again: kvpbus doctor");
    else
        doctor_mend(doctor,
                    doctor->host ? KVPBUS_WORD_RESTART("host") : KVPBUS_WORD_RESTART("guest"));
}

static void look_at_service(struct doctor *doctor, const char *socket)
{
    Kvpbus__Control__Peers *peers;
    struct kvpbus_client *client = NULL;
    struct kvpbus_failure failure = {0};
    enum kvpbus_error error = kvpbus_client_open(socket, &client, &failure);
    if (error == KVPBUS_OK)
        error =
            kvpbus_control_peers(client, NULL, KVPBUS_PEERS_MAX, ANSWER_WITHIN, &peers, &failure);
    bool connected = client != NULL;
    kvpbus_client_close(client);
    if (error != KVPBUS_OK) {
        doctor_bad(doctor, "service", "%s", failure.detail);
        mend_service(doctor, error, connected, socket);
        return;
    }
    doctor_good(doctor, "service", "it answers at %s", socket);
    for (size_t i = 0; i < peers->n_peers; i++)
        look_at_peer(doctor, peers->peers[i]);
    kvpbus__control__peers__free_unpacked(peers, NULL);
}

// --- the command ---

static void examine(struct doctor *doctor, const char *given_socket)
{
    struct kvpbus_service_arguments *arguments = &doctor->arguments;
    const char *standard = doctor->host ? KVPBUS_HOST_CONFIG : KVPBUS_GUEST_CONFIG;
    // Whether it is there is not told to everybody: then reading it says why.
    if (doctor->config == NULL && (kvpbus_file_exists(standard) ||
                                   kvpbus_system_error(kvpbus_system_code()) != KVPBUS_NOT_FOUND))
        doctor->config = standard;
    doctor_config(doctor);
    doctor_state(doctor);
    look_at_disk(doctor);
    doctor_clock(doctor);
    if (doctor->host)
        look_at_management(doctor);
    else
        doctor_guest_store(doctor);
    doctor_trust(doctor);
    look_at_service(doctor, given_socket != NULL ? given_socket : arguments->socket);
}

static void print_json(const struct doctor *doctor, bool well)
{
    json_t *list = json_array();
    for (size_t i = 0; i < doctor->count; i++) {
        const struct doctor_finding *finding = &doctor->findings[i];
        json_array_append_new(list, json_pack("{s:s, s:b, s:s, s:s}", "check", finding->check,
                                              "good", (int)finding->good, "says", finding->says,
                                              "mend", finding->mend));
    }
    json_t *report = json_pack("{s:s, s:b, s:o}", "side", doctor->host ? "host" : "guest", "good",
                               (int)well, "checks", list);
    json_dumpf(report, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(report);
}

int doctor_installation(const struct kvpbus_command_context *context, struct doctor *doctor)
{
    bool well = true;
    examine(doctor, context->socket);
    for (size_t i = 0; i < doctor->count; i++)
        well &= doctor->findings[i].good;
    if (context->json)
        print_json(doctor, well);
    for (size_t i = 0; !context->json && i < doctor->count; i++) {
        const struct doctor_finding *finding = &doctor->findings[i];
        printf("%-4s %-8s %s\n", finding->good ? "ok" : "BAD", finding->check, finding->says);
        if (!finding->good)
            printf("     mend it: %s\n", finding->mend);
    }
    free(doctor->findings);
    return well ? KVPBUS_EXIT_OK : KVPBUS_EXIT_FAILED;
}
