// SPDX-License-Identifier: Apache-2.0
//
// doctor: the options, and which of its three parts they mean.
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "doctor.h"
#include "doctor_vm.h"
#include "file.h"
#include "host_management.h"
#include "paths.h"

enum {
    ANSWER_FOR = 600000,       // ms that --answer goes on, unless given
    ANSWER_LONGEST = 86400000, // ms
};

struct words {
    struct doctor installation;
    struct doctor_vm vm;
    const char *store;
    bool answers;
    uint64_t answer_ms;
};

static void pass_over(const char *text)
{
    (void)text; // an option that is not known is for the look at the installation
}

// The store that the service of this side has, unless the user has named one.
static enum kvpbus_error configured_store(struct words *words, struct kvpbus_failure *failure)
{
    const char *standard = words->answers ? KVPBUS_GUEST_CONFIG : KVPBUS_HOST_CONFIG;
    struct doctor *installation = &words->installation;
    size_t unknown;
    if (words->store != NULL)
        return KVPBUS_OK;
    words->store = installation->arguments.store;
    if (installation->config == NULL && kvpbus_file_exists(standard))
        installation->config = standard;
    if (installation->config == NULL)
        return KVPBUS_OK;
    return kvpbus_config_read(installation->config, &installation->arguments, pass_over, &unknown,
                              failure);
}

// "1,4,9"
static bool take_only(const char *text, bool only[DOCTOR_QUESTIONS + 1])
{
    for (char *end;; text = end + 1) {
        unsigned long number = strtoul(text, &end, 10);
        if (end == text || number < 1 || number > DOCTOR_QUESTIONS)
            return false;
        only[number] = true;
        if (*end != ',')
            return *end == '\0';
    }
}

static bool take_until(const char *text, unsigned *until)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || number < 1 || number > DOCTOR_UNTIL_MAX)
        return false;
    *until = (unsigned)number;
    return true;
}

// What is wrong with an option, NULL when nothing is.
static const char *take_option(struct words *words, int option)
{
    switch (option) {
    case 's':
        if (strcmp(optarg, "host") != 0 && strcmp(optarg, "guest") != 0)
            return "a side is host or guest";
        words->installation.host = strcmp(optarg, "host") == 0;
        return NULL;
    case 'c':
        words->installation.config = optarg;
        return NULL;
    case 'v':
        words->vm.name = optarg;
        return NULL;
    case 'S':
        words->store = optarg;
        return NULL;
    case 'r':
        words->vm.report = optarg;
        return NULL;
    case 'u':
        return take_until(optarg, &words->vm.until) ? NULL : "--until is a number from 1 to 1024";
    case 'o':
        return take_only(optarg, words->vm.only) ? NULL : "--only names questions: 1 to 11, or 4,5";
    case 'a':
        words->answers = true;
        return NULL;
    default:
        return kvpbus_parse_duration(optarg, &words->answer_ms) &&
                       words->answer_ms <= ANSWER_LONGEST
                   ? NULL
                   : "--for is how long, up to 1d: 10m, 2h";
    }
}

static int measure(const struct kvpbus_command_context *context, struct words *words)
{
    struct kvpbus_failure failure = {0};
    if (configured_store(words, &failure) != KVPBUS_OK)
        return kvpbus_command_failed(context, &failure);
    words->vm.store = words->store;
    return words->answers ? doctor_answer(context, words->store, words->answer_ms)
                          : doctor_vm(context, &words->vm);
}

int kvpbus_command_doctor(const struct kvpbus_command_context *context, int argc, char **argv)
{
    static const struct option options[] = {
        {"side", required_argument, NULL, 's'},   {"config", required_argument, NULL, 'c'},
        {"vm", required_argument, NULL, 'v'},     {"store", required_argument, NULL, 'S'},
        {"until", required_argument, NULL, 'u'},  {"only", required_argument, NULL, 'o'},
        {"report", required_argument, NULL, 'r'}, {"answer", no_argument, NULL, 'a'},
        {"for", required_argument, NULL, 'f'},    {NULL, 0, NULL, 0}};
    static struct words words = {.answer_ms = ANSWER_FOR, .vm.until = DOCTOR_UNTIL};
    struct kvpbus_failure failure = {0};
    bool more = false;
    words.installation.host = doctor_on_host();
    if (kvpbus_host_management_take(&argc, argv, &failure) != KVPBUS_OK)
        return kvpbus_command_failed(context, &failure);
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        if (option == '?' || option == ':')
            return kvpbus_command_bad_option(context, argv, option);
        const char *wrong = take_option(&words, option);
        if (wrong != NULL)
            return kvpbus_command_usage(context, wrong);
        more = more || strchr("scva", option) == NULL;
    }
    bool measures = words.vm.name != NULL || words.answers;
    if (optind < argc)
        return kvpbus_command_usage(context, "there are words too many");
    if (words.vm.name != NULL && words.answers)
        return kvpbus_command_usage(context, "--vm is for the host, --answer for the guest");
    if (!measures && more)
        return kvpbus_command_usage(context, "these options go with --vm or --answer");
    return measures ? measure(context, &words) : doctor_installation(context, &words.installation);
}
