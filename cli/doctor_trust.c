// SPDX-License-Identifier: Apache-2.0
//
// Files that say whom to trust, and tokens that were left lying.
#include <sodium.h>
#include <string.h>
#include <time.h>

#include "doctor.h"
#include "guarded_file.h"
#include "service_trust.h"
#include "token.h"
#include "words.h"

enum { TOKEN_FILE_MAX = 4096 };

static void look_at_keys(struct doctor *doctor)
{
    const char *path = doctor->arguments.options.trust_file;
    enum kvpbus_role role = doctor->host ? KVPBUS_ROLE_HOST : KVPBUS_ROLE_GUEST;
    struct kvpbus_failure failure = {0};
    enum kvpbus_error error = kvpbus_trust_check(role, path, &failure);
    if (error == KVPBUS_OK) {
        doctor_good(doctor, "trust", "%s is right", path);
    } else if (error != KVPBUS_NOT_FOUND) {
        doctor_bad(doctor, "trust", "%s", failure.detail);
        doctor_mend(doctor, "correct %s, then: %s", path,
                    doctor->host ? KVPBUS_WORD_READ_AGAIN("host")
                                 : KVPBUS_WORD_READ_AGAIN("guest"));
    }
}

static void judge_token(struct doctor *doctor, const char *path, const char *text, size_t length)
{
    struct kvpbus_token token;
    struct kvpbus_failure failure = {0};
    if (kvpbus_token_read(text, length, &token, &failure) != KVPBUS_OK) {
        doctor_bad(doctor, "token", "%s: %s", path, failure.detail);
        doctor_mend(doctor, KVPBUS_WORD_REMOVE " %s, then on the host: kvpbus enroll VM", path);
    } else if (token.ends_ms / 1000 <= (uint64_t)time(NULL)) {
        doctor_bad(doctor, "token", "the token in %s has expired", path);
        doctor_mend(doctor, KVPBUS_WORD_REMOVE " %s, then on the host: kvpbus enroll VM", path);
    } else {
        doctor_bad(doctor, "token", "a token lies in %s and was not taken", path);
        doctor_mend(doctor,
                    KVPBUS_WORD_RESTART("guest") ", which takes it, or: " KVPBUS_WORD_REMOVE " %s",
                    path);
    }
    sodium_memzero(&token, sizeof token);
}

static void look_at_token(struct doctor *doctor)
{
    const char *path = doctor->arguments.options.token_file;
    struct kvpbus_failure failure = {0};
    char *text;
    size_t length;
    enum kvpbus_error error =
        kvpbus_guarded_read(path, true, TOKEN_FILE_MAX, &text, &length, NULL, &failure);
    if (error == KVPBUS_NOT_FOUND)
        return;
    if (error == KVPBUS_OK) {
        judge_token(doctor, path, text, length);
        kvpbus_guarded_free(text, length);
        return;
    }
    doctor_bad(doctor, "token", "%s", failure.detail);
    if (failure.os_code != 0)
        doctor_mend(doctor, KVPBUS_WORD_DOCTOR_ELEVATED);
    else
        doctor_mend(doctor, KVPBUS_WORD_REMOVE " %s, then on the host: kvpbus enroll VM", path);
}

void doctor_trust(struct doctor *doctor)
{
    look_at_keys(doctor);
    if (!doctor->host)
        look_at_token(doctor);
}
