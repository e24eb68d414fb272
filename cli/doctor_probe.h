// SPDX-License-Identifier: Apache-2.0
//
// What doctor --vm on the host and doctor --answer in the guest say to each other: plain items
// under a prefix of their own, so that the bus does not notice. The host writes one question at a
// time, the guest's answer repeats its number. Both sides remove what they wrote.
#ifndef KVPBUS_DOCTOR_PROBE_H
#define KVPBUS_DOCTOR_PROBE_H

#define DOCTOR_PREFIX "kvpbusdoctor"
#define DOCTOR_KEY(name) DOCTOR_PREFIX "." name

#define DOCTOR_KEY_QUESTION DOCTOR_KEY("q") // "number word argument", in hexadecimal and decimal
#define DOCTOR_KEY_ANSWER DOCTOR_KEY("a")   // "number text"
#define DOCTOR_KEY_COUNTER DOCTOR_KEY("c")  // of the guest: "number count"
#define DOCTOR_KEY_TEXT DOCTOR_KEY("x")     // of the host, and the guest's copy of it
#define DOCTOR_KEY_LONG_VALUE DOCTOR_KEY("v")
#define DOCTOR_KEY_FILL DOCTOR_KEY("n") // with four digits behind it

// The words of a question.
#define DOCTOR_ASK_HELLO "hello" // who answers: version and system
#define DOCTOR_ASK_COUNT "count" // count in an item until the next question, so many ms at most
#define DOCTOR_ASK_STOP "stop"   // remove all items but the answer
#define DOCTOR_ASK_WAKES "wakes" // how often has the store told of a change
#define DOCTOR_ASK_ORDER "order" // write the items of DOCTOR_ORDER, one after another
#define DOCTOR_ASK_FILL "fill"   // write so many items
#define DOCTOR_ASK_COPY "copy"   // copy the text

// Written in this order, which is neither sorted nor the reverse.
#define DOCTOR_ORDER "q", "b", "x", "d", "t", "f"

enum {
    DOCTOR_ORDER_COUNT = 6,
    DOCTOR_COUNT_EVERY = 10,      // ms between two counts of the guest
    DOCTOR_COUNT_LONGEST = 15000, // ms
    DOCTOR_UNTIL_MAX = 1024,      // items that either side writes at most
    DOCTOR_SYSTEM_TEXT = 160,
};

// "Linux 6.1.0 x86_64"; one source per system.
void doctor_system(char text[DOCTOR_SYSTEM_TEXT]);

#endif
