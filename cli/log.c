// SPDX-License-Identifier: Apache-2.0
#include "log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>

#include "log_target.h"
#include "utf8.h"

enum { TEXT_MAX = 512 };

static enum kvpbus_log_level limit = KVPBUS_LOG_INFO;
static enum kvpbus_log_format form = KVPBUS_LOG_TEXT;
static enum kvpbus_log_target target;

static const struct {
    int priority;
    const char *name;
} levels[] = {{3, "error"}, {4, "warning"}, {6, "info"}, {7, "debug"}};

void kvpbus_log_setup(enum kvpbus_log_level level, enum kvpbus_log_format format)
{
    limit = level;
    target = kvpbus_log_target();
    form = target == KVPBUS_LOG_EVENTS ? KVPBUS_LOG_TEXT : format;
}

// Of the time, as RFC 3339 has it, with milliseconds.
static void stamp(char text[32])
{
    struct timeval now;
    struct tm parts;
    gettimeofday(&now, NULL);
    time_t seconds = now.tv_sec;
    gmtime_r(&seconds, &parts);
    size_t length = strftime(text, 24, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + length, 32 - length, ".%03dZ", (int)(now.tv_usec / 1000) % 1000);
}

// Bytes of the character that the text begins with; 0: it is none, or a control character.
static size_t printable(const char *text)
{
    size_t length = kvpbus_utf8_character(text, 4);
    unsigned char first = (unsigned char)text[0];
    bool control =
        first < 0x20 || first == 0x7f || (first == 0xc2 && (unsigned char)text[1] < 0xa0);
    return control ? 0 : length;
}

// One line, whatever a VM is named: what is no printable character becomes a question mark.
static size_t append(char *line, size_t size, size_t at, const char *text)
{
    for (const char *in = text; *in != '\0';) {
        size_t length = printable(in);
        bool escaped = form == KVPBUS_LOG_JSON && (*in == '"' || *in == '\\');
        if (at + 5 >= size)
            break;
        if (escaped)
            line[at++] = '\\';
        if (length == 0)
            line[at++] = '?';
        for (size_t i = 0; i < length; i++)
            line[at++] = in[i];
        in += length != 0 ? length : 1;
    }
    line[at] = '\0';
    return at;
}

static void put(enum kvpbus_log_level level, enum kvpbus_log_event event, const char *peer,
                const char *text)
{
    char line[3 * TEXT_MAX], time_text[32];
    size_t at = 0, room = sizeof line - 8; // for what closes it
    stamp(time_text);
    if (target == KVPBUS_LOG_JOURNAL)
        at += (size_t)snprintf(line, room, "<%d>", levels[level].priority);
    if (form == KVPBUS_LOG_JSON)
        at += (size_t)snprintf(line + at, room - at, "{\"time\": \"%s\", \"level\": \"%s\", ",
                               time_text, levels[level].name);
    else if (target == KVPBUS_LOG_STREAM)
        at += (size_t)snprintf(line + at, room - at, "%s %s: ", time_text, levels[level].name);
    if (peer != NULL) {
        if (form == KVPBUS_LOG_JSON)
            at += (size_t)snprintf(line + at, room - at, "\"peer\": \"");
        at = append(line, room - TEXT_MAX, at, peer);
        at += (size_t)snprintf(line + at, room - at, form == KVPBUS_LOG_JSON ? "\", " : ": ");
    }
    if (form == KVPBUS_LOG_JSON)
        at += (size_t)snprintf(line + at, room - at, "\"message\": \"");
    at = append(line, room, at, text);
    if (target == KVPBUS_LOG_EVENTS) {
        kvpbus_log_report(level, event, line);
        return;
    }
    snprintf(line + at, sizeof line - at, form == KVPBUS_LOG_JSON ? "\"}\n" : "\n");
    fputs(line, stderr); // one write a line
}

// Of what has no number of its own.
static enum kvpbus_log_event of_level(enum kvpbus_log_level level)
{
    static const enum kvpbus_log_event events[] = {KVPBUS_LOGGED_ERROR, KVPBUS_LOGGED_WARNING,
                                                   KVPBUS_LOGGED_INFO, KVPBUS_LOGGED_DEBUG};
    return events[level];
}

static enum kvpbus_log_level level_of(enum kvpbus_log_event event)
{
    static const struct {
        enum kvpbus_log_event event;
        enum kvpbus_log_level level;
    } events[] = {
#define X(name, id, level) {KVPBUS_LOGGED_##name, KVPBUS_LOG_##level},
        KVPBUS_LOG_EVENT_MAP(X)
#undef X
    };
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (events[i].event == event)
            return events[i].level;
    return KVPBUS_LOG_ERROR;
}

void kvpbus_log(enum kvpbus_log_level level, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list arguments;
    if (level > limit)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    put(level, of_level(level), NULL, text);
}

void kvpbus_log_event(enum kvpbus_log_event event, const char *peer, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list arguments;
    if (level_of(event) > limit)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    put(level_of(event), event, peer, text);
}
