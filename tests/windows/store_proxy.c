// SPDX-License-Identifier: Apache-2.0
#include "store_proxy.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.pb-c.h"
#include "frame.h"

enum { REPLY_MAX = 4 * 1024 * 1024 };

struct proxy {
    struct kvpbus_store head;
    pid_t pid;
    int to_agent, from_agent;
    int notice[2]; // what reads it here is told by the agent; {-1, -1}: it gives no notices
    pthread_t reader;
    pthread_mutex_t lock; // of what follows
    pthread_cond_t changed;
    Agent__AgentReply *reply; // to the request that is under way
    bool draining;            // that is an acknowledgement
    bool ended;               // the agent has said its last word
};

static struct proxy *from_head(struct kvpbus_store *store)
{
    return (struct proxy *)store;
}

static bool read_all(int fd, uint8_t *bytes, size_t length)
{
    for (size_t got = 0; got < length;) {
        ssize_t step = read(fd, bytes + got, length - got);
        if (step <= 0)
            return false;
        got += (size_t)step;
    }
    return true;
}

static Agent__AgentReply *read_reply(int fd)
{
    uint8_t head[KVPBUS_FRAME_HEAD];
    size_t length = 0;
    if (!read_all(fd, head, sizeof head))
        return NULL;
    for (size_t i = 0; i < sizeof head; i++)
        length = length << 8 | head[i];
    uint8_t *bytes = length <= REPLY_MAX ? malloc(length + 1) : NULL;
    Agent__AgentReply *reply = NULL;
    if (bytes != NULL && read_all(fd, bytes, length))
        reply = agent__agent_reply__unpack(NULL, length, bytes);
    free(bytes);
    return reply;
}

static void drain(struct proxy *proxy)
{
    char bytes[64];
    while (proxy->notice[0] >= 0 && read(proxy->notice[0], bytes, sizeof bytes) > 0)
        continue;
}

// What comes before the reply to an acknowledgement was told before it, and is quiet with it; what
// comes behind it is new.
static void *read_replies(void *context)
{
    struct proxy *proxy = context;
    for (;;) {
        Agent__AgentReply *reply = read_reply(proxy->from_agent);
        pthread_mutex_lock(&proxy->lock);
        if (reply != NULL && reply->notice) {
            (void)!write(proxy->notice[1], "!", 1);
            agent__agent_reply__free_unpacked(reply, NULL);
        } else {
            if (proxy->draining)
                drain(proxy);
            proxy->draining = false;
            proxy->reply = reply;
            proxy->ended = reply == NULL;
            pthread_cond_signal(&proxy->changed);
        }
        bool ended = proxy->ended;
        pthread_mutex_unlock(&proxy->lock);
        if (ended)
            return NULL;
    }
}

// NULL when the agent has ended.
static Agent__AgentReply *await_reply(struct proxy *proxy)
{
    pthread_mutex_lock(&proxy->lock);
    while (proxy->reply == NULL && !proxy->ended)
        pthread_cond_wait(&proxy->changed, &proxy->lock);
    Agent__AgentReply *reply = proxy->reply;
    proxy->reply = NULL;
    pthread_mutex_unlock(&proxy->lock);
    return reply;
}

static Agent__AgentReply *ask(struct proxy *proxy, const Agent__AgentRequest *request)
{
    size_t length = agent__agent_request__get_packed_size(request);
    uint8_t *bytes = malloc(KVPBUS_FRAME_HEAD + length);
    cr_assert_not_null(bytes);
    kvpbus_frame_head(bytes, length);
    agent__agent_request__pack(request, bytes + KVPBUS_FRAME_HEAD);
    pthread_mutex_lock(&proxy->lock);
    proxy->draining = request->operation == AGENT__OPERATION__ACKNOWLEDGE;
    pthread_mutex_unlock(&proxy->lock);
    for (size_t done = 0; done < KVPBUS_FRAME_HEAD + length;) {
        ssize_t step = write(proxy->to_agent, bytes + done, KVPBUS_FRAME_HEAD + length - done);
        cr_assert_gt(step, 0, "the agent does not read");
        done += (size_t)step;
    }
    free(bytes);
    Agent__AgentReply *reply = await_reply(proxy);
    cr_assert_not_null(reply, "the agent has ended");
    return reply;
}

// Copies what the reply says of an error, and frees it.
static enum kvpbus_error finish(Agent__AgentReply *reply, struct kvpbus_failure *failure)
{
    enum kvpbus_error error = (enum kvpbus_error)reply->error;
    if (error != KVPBUS_OK)
        kvpbus_fail(failure, error, "%s", reply->detail);
    if (error != KVPBUS_OK && failure != NULL)
        failure->os_code = reply->os_code;
    agent__agent_reply__free_unpacked(reply, NULL);
    return error;
}

static enum kvpbus_error read_items(struct kvpbus_store *store, Agent__Operation operation,
                                    struct kvpbus_scan *scan, struct kvpbus_failure *failure)
{
    Agent__AgentRequest request = AGENT__AGENT_REQUEST__INIT;
    request.operation = operation;
    Agent__AgentReply *reply = ask(from_head(store), &request);
    kvpbus_scan_clear(scan);
    for (size_t i = 0; i < reply->n_items; i++)
        cr_assert_eq(kvpbus_scan_add(scan, store->prefix, reply->items[i]->key,
                                     strlen(reply->items[i]->key), reply->items[i]->value,
                                     strlen(reply->items[i]->value)),
                     KVPBUS_OK);
    cr_assert_eq(scan->count, reply->n_items, "the agent gives items that are none");
    scan->foreign = reply->foreign;
    scan->skipped = reply->skipped;
    return finish(reply, failure);
}

static enum kvpbus_error read_own(struct kvpbus_store *store, struct kvpbus_scan *scan,
                                  struct kvpbus_failure *failure)
{
    return read_items(store, AGENT__OPERATION__READ_OWN, scan, failure);
}

static enum kvpbus_error read_peer(struct kvpbus_store *store, struct kvpbus_scan *scan,
                                   struct kvpbus_failure *failure)
{
    return read_items(store, AGENT__OPERATION__READ_PEER, scan, failure);
}

static enum kvpbus_error write_changes(struct kvpbus_store *store,
                                       const struct kvpbus_change *changes, size_t count,
                                       enum kvpbus_error *results, struct kvpbus_failure *failure)
{
    // One more than is allowed, which the agent is to refuse.
    enum { ROOM = KVPBUS_CHANGES_MAX + 1 };
    Agent__Change messages[ROOM], *pointers[ROOM];
    Agent__AgentRequest request = AGENT__AGENT_REQUEST__INIT;
    cr_assert_leq(count, ROOM);
    for (size_t i = 0; i < count; i++) {
        agent__change__init(&messages[i]);
        messages[i].key = (char *)changes[i].key;
        messages[i].remove = changes[i].value == NULL;
        messages[i].value = (char *)(changes[i].value == NULL ? "" : changes[i].value);
        pointers[i] = &messages[i];
    }
    request.operation = AGENT__OPERATION__WRITE;
    request.n_changes = count;
    request.changes = pointers;
    Agent__AgentReply *reply = ask(from_head(store), &request);
    cr_assert_eq(reply->n_results, count);
    for (size_t i = 0; i < count && i < KVPBUS_CHANGES_MAX; i++)
        results[i] = (enum kvpbus_error)reply->results[i];
    return finish(reply, failure);
}

static kvpbus_notice notice_fd(struct kvpbus_store *store)
{
    return from_head(store)->notice[0];
}

static void acknowledge_notice(struct kvpbus_store *store)
{
    Agent__AgentRequest request = AGENT__AGENT_REQUEST__INIT;
    request.operation = AGENT__OPERATION__ACKNOWLEDGE;
    cr_assert_eq(finish(ask(from_head(store), &request), NULL), KVPBUS_OK);
}

static void close_store(struct kvpbus_store *store)
{
    struct proxy *proxy = from_head(store);
    int status;
    close(proxy->to_agent);
    pthread_join(proxy->reader, NULL);
    cr_assert_eq(waitpid(proxy->pid, &status, 0), proxy->pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) < 2, "the agent ended with %x", status);
    close(proxy->from_agent);
    for (int i = 0; i < 2; i++)
        if (proxy->notice[i] >= 0)
            close(proxy->notice[i]);
    pthread_mutex_destroy(&proxy->lock);
    pthread_cond_destroy(&proxy->changed);
    free(proxy);
}

static const struct kvpbus_store_ops proxy_ops = {
    .kind = "proxy",
    .read_own = read_own,
    .read_peer = read_peer,
    .write = write_changes,
    .notice_fd = notice_fd,
    .acknowledge_notice = acknowledge_notice,
    .close = close_store,
};

static struct proxy *start_agent(const struct wine *wine, const char *kind)
{
    const char *const words[] = {"tests/windows/store_agent.exe", kind, NULL};
    struct proxy *proxy = calloc(1, sizeof *proxy);
    int to[2], from[2];
    cr_assert_not_null(proxy);
    cr_assert_eq(pipe2(to, O_CLOEXEC), 0);
    cr_assert_eq(pipe2(from, O_CLOEXEC), 0);
    cr_assert_eq(pipe2(proxy->notice, O_CLOEXEC | O_NONBLOCK), 0);
    proxy->head.ops = &proxy_ops;
    strcpy(proxy->head.prefix, "kvpbus");
    proxy->pid = wine_start(wine, words, to[0], from[1]);
    close(to[0]);
    close(from[1]);
    proxy->to_agent = to[1];
    proxy->from_agent = from[0];
    pthread_mutex_init(&proxy->lock, NULL);
    pthread_cond_init(&proxy->changed, NULL);
    cr_assert_eq(pthread_create(&proxy->reader, NULL, read_replies, proxy), 0);
    return proxy;
}

enum kvpbus_error store_proxy_open(const struct wine *wine, const char *kind,
                                   struct kvpbus_store **store, struct kvpbus_failure *failure)
{
    struct proxy *proxy = start_agent(wine, kind);
    Agent__AgentReply *opened = await_reply(proxy);
    cr_assert_not_null(opened, "the agent has not begun");
    if (opened->error == KVPBUS_OK && !opened->has_notice) {
        close(proxy->notice[0]);
        close(proxy->notice[1]);
        proxy->notice[0] = proxy->notice[1] = KVPBUS_NO_NOTICE;
    }
    enum kvpbus_error error = finish(opened, failure);
    if (error == KVPBUS_OK)
        *store = &proxy->head;
    else
        close_store(&proxy->head);
    return error;
}

static Agent__AgentReply *ask_value(struct kvpbus_store *store, Agent__Operation operation,
                                    Agent__Value *value)
{
    Agent__AgentRequest request = AGENT__AGENT_REQUEST__INIT;
    request.operation = operation;
    request.value = value;
    return ask(from_head(store), &request);
}

int64_t store_proxy_set_value(struct kvpbus_store *store, const char *key, const char *name,
                              uint32_t type, const void *data, size_t size)
{
    Agent__Value value = AGENT__VALUE__INIT;
    value.key = (char *)key;
    value.name = (char *)name;
    value.type = type;
    value.data.data = (uint8_t *)data;
    value.data.len = size;
    Agent__AgentReply *reply = ask_value(store, AGENT__OPERATION__SET_VALUE, &value);
    int64_t code = reply->os_code;
    agent__agent_reply__free_unpacked(reply, NULL);
    return code;
}

int64_t store_proxy_get_value(struct kvpbus_store *store, const char *key, const char *name,
                              uint32_t *type, void *data, size_t *size)
{
    Agent__Value value = AGENT__VALUE__INIT;
    value.key = (char *)key;
    value.name = (char *)name;
    Agent__AgentReply *reply = ask_value(store, AGENT__OPERATION__GET_VALUE, &value);
    int64_t code = reply->os_code;
    if (code == 0) {
        cr_assert_leq(reply->value->data.len, *size);
        *type = reply->value->type;
        *size = reply->value->data.len;
        memcpy(data, reply->value->data.data, *size);
    }
    agent__agent_reply__free_unpacked(reply, NULL);
    return code;
}
