// SPDX-License-Identifier: Apache-2.0
//
// The bus inside a program of one's own in a Linux guest, without kvpbus-guest: one thread, one
// poll(2) loop, the pool files of the Hyper-V daemon, one peer. It pairs with the host whose
// fingerprint it is given (`kvpbus identity` on the host prints it), sends one message and prints
// what comes, until Ctrl-C.
//
//   cc embed.c -o embed $(pkg-config --cflags --libs kvpbus)
//   ./embed /var/lib/hyperv /var/lib/my-program 0123-4567-89ab-cdef-0123-4567-89ab-cdef
#include <errno.h>
#include <fcntl.h>
#include <kvpbus/bus.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t ended;

struct program {
    const char *fingerprint; // of the host
    struct kvpbus_bus *bus;
    struct kvpbus_endpoint *host;
    struct kvpbus_store *store;
    struct kvpbus_inline jobs;
    bool leasing;
};

static void on_signal(int number)
{
    (void)number;
    ended = 1;
}

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "embed: %s: %s\n", what, why);
    exit(1);
}

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// --- what the bus says; all of it comes on this thread, between two waits ---

static void on_done(void *context, const struct kvpbus_failure *failure)
{
    (void)context;
    if (failure->code != KVPBUS_OK)
        fprintf(stderr, "embed: %s\n", failure->detail);
}

static void on_queued(void *context, const struct kvpbus_message_id *id,
                      const struct kvpbus_failure *failure)
{
    (void)id; // kvpbus_bus_message_status tells later what became of it
    on_done(context, failure);
}

static void take_one(struct program *program);

static void on_message(void *context, struct kvpbus_delivery *delivery,
                       const struct kvpbus_awaited *awaited, const struct kvpbus_failure *failure)
{
    struct program *program = context;
    (void)awaited;
    program->leasing = false;
    if (delivery == NULL) {
        if (failure->code != KVPBUS_NOT_FOUND)
            on_done(NULL, failure);
        return; // on_inbox tells when there is one
    }
    printf("%s: %.*s\n", delivery->message.topic, (int)delivery->message.body_length,
           (const char *)delivery->message.body);
    fflush(stdout);
    // Only now is it done with: had the program died before, the message would come again.
    kvpbus_bus_ack(program->bus, delivery->lease, on_done, NULL);
    kvpbus_delivery_free(delivery);
    take_one(program);
}

static void take_one(struct program *program)
{
    static const struct kvpbus_filter all;
    if (program->leasing || ended)
        return;
    program->leasing = true;
    kvpbus_bus_lease(program->bus, &all, 60 * 1000, on_message, program);
}

static void on_inbox(void *context, int64_t peer)
{
    (void)peer;
    take_one(context);
}

static void on_event(void *context, int64_t peer, enum kvpbus_event event, const char *text)
{
    struct program *program = context;
    (void)peer;
    fprintf(stderr, "embed: %s\n", text);
    if (event == KVPBUS_EVENT_PENDING)
        kvpbus_bus_pair(program->host, program->fingerprint, on_done, NULL);
}

static void on_added(void *context, struct kvpbus_endpoint *endpoint,
                     const struct kvpbus_failure *failure)
{
    struct program *program = context;
    struct kvpbus_message message = {
        .topic = "embed.hello",
        .class_ = KVPBUS_CLASS_NORMAL,
        .body = (const uint8_t *)"hello from my own loop",
        .body_length = sizeof "hello from my own loop" - 1,
    };
    if (endpoint == NULL)
        fail("the peer cannot be added", failure->detail);
    program->host = endpoint;
    // Kept in the journal until the host has it, however long that takes.
    kvpbus_bus_send(endpoint, &message, false, on_queued, NULL);
}

// --- life ---

// Of my identity only the seed is kept, where nobody else can read it.
static void load_identity(const char *path, struct kvpbus_bus_options *options)
{
    uint8_t seed[KVPBUS_SEED_BYTES];
    char fingerprint[KVPBUS_FINGERPRINT_TEXT];
    int file = open(path, O_RDONLY);
    bool there = file >= 0;
    if (!there && errno == ENOENT)
        file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (file < 0)
        fail(path, "cannot be opened");
    if (there ? read(file, seed, sizeof seed) != sizeof seed
              : getrandom(seed, sizeof seed, 0) != sizeof seed ||
                    write(file, seed, sizeof seed) != sizeof seed || fsync(file) != 0)
        fail(path, "is no identity, or cannot be written");
    close(file);
    kvpbus_identity_of_seed(seed, options->identity, options->secret);
    kvpbus_fingerprint(options->identity, fingerprint);
    printf("identity: %s\n", fingerprint);
    fflush(stdout);
}

static struct kvpbus_journal *begin(struct program *program, const char *pool, const char *state)
{
    char path[4096];
    struct kvpbus_failure failure = {0};
    struct kvpbus_journal *journal;
    struct kvpbus_journal_options journal_options = {.role = KVPBUS_ROLE_GUEST};
    struct kvpbus_bus_options options = {
        .role = KVPBUS_ROLE_GUEST,
        .listener = {.context = program, .inbox = on_inbox, .event = on_event},
    };
    snprintf(path, sizeof path, "%s/seed", state);
    load_identity(path, &options);
    if (kvpbus_pool_store_open(pool, "kvpbus", &program->store, &failure) != KVPBUS_OK)
        fail("no store", failure.detail);
    snprintf(path, sizeof path, "%s/journal", state);
    if (kvpbus_journal_open(path, &journal_options, &journal, &failure) != KVPBUS_OK)
        fail("no journal", failure.detail);
    kvpbus_inline_init(&program->jobs, journal);
    if (kvpbus_bus_open(&options, &program->jobs.executor, &program->bus) != KVPBUS_OK)
        fail("no bus", "out of memory");
    kvpbus_bus_tick(program->bus, (uint64_t)clock_ms(CLOCK_MONOTONIC), clock_ms(CLOCK_REALTIME));
    kvpbus_bus_add(program->bus, NULL, "host", on_added, program);
    take_one(program);
    return journal;
}

// All that is due: jobs of the journal, reads and writes of the stores.
static void turn(struct program *program)
{
    struct kvpbus_action action;
    kvpbus_bus_tick(program->bus, (uint64_t)clock_ms(CLOCK_MONOTONIC), clock_ms(CLOCK_REALTIME));
    do {
        while (kvpbus_inline_run(&program->jobs) && !ended)
            ;
        if (program->host == NULL || !kvpbus_bus_action(program->host, &action))
            return;
        kvpbus_action_carry_out(&action, program->store);
    } while (!ended);
}

static void wait_for_work(struct program *program)
{
    uint64_t now = (uint64_t)clock_ms(CLOCK_MONOTONIC);
    uint64_t deadline = kvpbus_bus_deadline(program->bus);
    uint64_t wait = deadline > now ? deadline - now : 0;
    // A program that has other work has its own descriptors here as well.
    struct pollfd changed = {.fd = program->store->ops->notice_fd(program->store),
                             .events = POLLIN};
    if (poll(&changed, 1, wait < 60000 ? (int)wait : 60000) == 1 && program->host != NULL) {
        program->store->ops->acknowledge_notice(program->store);
        kvpbus_bus_notice(program->host);
    }
}

int main(int argc, char **argv)
{
    struct program program = {0};
    if (argc != 4) {
        fprintf(stderr, "Usage: embed POOL_FOLDER STATE_FOLDER FINGERPRINT_OF_THE_HOST\n");
        return 2;
    }
    program.fingerprint = argv[3];
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    struct kvpbus_journal *journal = begin(&program, argv[1], argv[2]);
    for (turn(&program); !ended; turn(&program))
        wait_for_work(&program);
    while (kvpbus_inline_run(&program.jobs)) // what is under way is finished
        ;
    kvpbus_bus_close(program.bus);
    kvpbus_journal_close(journal);
    kvpbus_store_close(program.store);
    return 0;
}
