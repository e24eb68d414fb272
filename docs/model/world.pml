// SPDX-License-Identifier: Apache-2.0
//
// The two stores, what each side keeps in memory and in its journal, and what can happen to them.
// Included by link.pml.

#define RING 3
#define WINDOW 2
#define PACKETS 4 // SYNC and three bundles
#define TICKS 24
#define VERSIONS 24
#define CORES 15

#define BIT(n) (1 << (n))
#define HAS(set, n) (((set) >> (n)) & 1)
// One store. Core 0: no hello; session 0: no item. A session is named by both its cores.
typedef Store {
    byte h_core;
    byte h_conf; // the peer's core that is confirmed
    byte h_try;
    byte s_session;
    byte s_version;
    byte s_echo;
    byte s_acked; // bit n: packet n is committed
    bool s_missing; // your state is missing here, or older than my echo
    short s_digest; // over the contents of the acknowledged packets
    byte p_session[RING];
    byte p_number[RING];
    bool p_try[RING];
    short p_content[RING];
}

// What a crash takes.
typedef Memory {
    byte core;
    bool used;    // the core has been in a live session
    byte tries;   // of the hello with this core
    byte peer;    // the peer's core that I confirm
    byte met;     // the peer's core in the last live session
    short others; // bit n: core n of the peer, confirmed before (BREAK_RETIRE_ALL)
    byte session; // begun: each confirms the other's core
    bool live;
    byte version;
    bool missing;
    byte peer_version;
    byte acked; // of my packets
    byte got;   // the peer's packets that are committed
    byte tried; // bit n: attempt of packet n last seen, modulo 2
    short digest;
    bool synced; // the peer's SYNC was consistent with my journal
    byte made;   // packets numbered so far
    short sync;  // content of my SYNC for the session that comes (BREAK_OLD_SESSION)
    byte unsaved; // bit n: packet n is not in the journal yet (BREAK_EARLY_ACK)
    short content[PACKETS + 1];
    byte slot[RING]; // number of the packet that it holds
    bool try[RING];
}

// What it does not take. Bundles are numbered by their id, 1 to BUNDLES.
typedef Journal {
    short retired; // bit n: core n of the peer
    // side 0
    byte timeline;
    short timelines; // bit n: timeline n was mine
    byte next;       // number of the bundle queued last
    byte state[PACKETS];
    byte line[PACKETS]; // timeline in which it was last numbered
    byte number[PACKETS];
    // side 1
    byte known; // timeline
    byte held[PACKETS]; // id of the bundle with each number
    byte ids;           // bit n: id n was received
}

#define NONE 0
#define QUEUED 1
#define DELIVERED 2
#define UNKNOWN 3

// Index 0 and 1: the sides; 2 and 3: the same at the checkpoint.
#define THEN 2
Store own[4];  // a side's store, as it reads it back itself
Store seen[4]; // the same store, as the peer reads it
Memory m[4];
Journal j[4];
bool todo[2]; // the peer's store or my memory changed since my last full scan
byte cores[2]; // random in truth: never the same again, reverts or not
byte lines;    // timelines, likewise

bool taken; // the checkpoint

// What is left of the faults, and what the assertions need to know.
byte faults;
byte odd_reads;
byte odd_writes;
byte early;
byte ticks;
byte made_ids;   // bundles queued so far
byte committed;  // bit n: id n was in the receiver's journal at some time
bool reverted[2];
bool checked;

// How an odd scan or write goes about each part of the store, chosen before it.
byte pick_hello;
byte pick_state;
byte pick_ring;

// Temporaries of a step.
hidden byte i;
hidden byte k;
hidden byte n;
hidden byte side;
hidden byte id;
hidden byte best;
hidden byte flag;
hidden short word;

#define SKIP 0
#define NOW 1
#define STALE 2

inline pick(what)
{
    if
    :: what = 0
    :: what = 1
    :: what = 2
    fi
}

// Copies

inline copy_hello(to, from)
{
    to.h_core = from.h_core;
    to.h_conf = from.h_conf;
    to.h_try = from.h_try
}

inline copy_state(to, from)
{
    to.s_session = from.s_session;
    to.s_version = from.s_version;
    to.s_echo = from.s_echo;
    to.s_acked = from.s_acked;
    to.s_missing = from.s_missing;
    to.s_digest = from.s_digest
}

inline copy_slot(to, from, k)
{
    to.p_session[k] = from.p_session[k];
    to.p_number[k] = from.p_number[k];
    to.p_try[k] = from.p_try[k];
    to.p_content[k] = from.p_content[k]
}

inline copy_store(to, from)
{
    copy_hello(to, from);
    copy_state(to, from);
    for (i : 0 .. RING - 1) {
        copy_slot(to, from, i)
    }
    i = 0
}

inline clear_slot(to, k)
{
    to.p_session[k] = 0;
    to.p_number[k] = 0;
    to.p_try[k] = 0;
    to.p_content[k] = 0
}

inline clear_state(to)
{
    to.s_session = 0;
    to.s_version = 0;
    to.s_echo = 0;
    to.s_acked = 0;
    to.s_missing = 0;
    to.s_digest = 0
}

inline clear_store(to)
{
    to.h_core = 0;
    to.h_conf = 0;
    to.h_try = 0;
    clear_state(to);
    for (i : 0 .. RING - 1) {
        clear_slot(to, i)
    }
    i = 0
}

inline copy_memory(to, from)
{
    to.core = from.core;
    to.used = from.used;
    to.tries = from.tries;
    to.peer = from.peer;
    to.met = from.met;
    to.others = from.others;
    to.session = from.session;
    to.live = from.live;
    to.version = from.version;
    to.missing = from.missing;
    to.peer_version = from.peer_version;
    to.acked = from.acked;
    to.got = from.got;
    to.tried = from.tried;
    to.digest = from.digest;
    to.synced = from.synced;
    to.made = from.made;
    to.sync = from.sync;
    to.unsaved = from.unsaved;
    for (i : 0 .. PACKETS) {
        to.content[i] = from.content[i]
    }
    for (i : 0 .. RING - 1) {
        to.slot[i] = from.slot[i];
        to.try[i] = from.try[i]
    }
    i = 0
}

inline copy_journal(to, from)
{
    to.retired = from.retired;
    to.timeline = from.timeline;
    to.timelines = from.timelines;
    to.next = from.next;
    to.known = from.known;
    to.ids = from.ids;
    for (i : 1 .. BUNDLES) {
        to.state[i] = from.state[i];
        to.line[i] = from.line[i];
        to.number[i] = from.number[i];
        to.held[i] = from.held[i]
    }
    i = 0
}
// Faults

inline checkpoint()
{
    d_step {
        taken = 1;
        copy_store(seen[2], seen[0]);
        copy_store(seen[3], seen[1]);
#if MAY & REVERTS
        copy_store(own[2], own[0]);
        copy_store(own[3], own[1]);
#endif
#if MAY & (DISK + MEMORY)
        copy_journal(j[2], j[0]);
#endif
#if MAY & (DISK * 2 + MEMORY * 2)
        copy_journal(j[3], j[1]);
#endif
#if MAY & MEMORY
        copy_memory(m[2], m[0]);
#endif
#if MAY & (MEMORY * 2)
        copy_memory(m[3], m[1]);
#endif
    }
}

inline crash(x)
{
    forget_session(x);
    new_core(x);
    m[x].peer = 0;
    m[x].met = 0;
    m[x].others = 0
}

inline revert(x)
{
    reverted[x] = 1;
    copy_journal(j[x], j[x + THEN]);
    if
    :: x == GUEST ->
        copy_store(own[0], own[2]);
        copy_store(own[1], own[3]);
        copy_store(seen[0], seen[2]);
        copy_store(seen[1], seen[3])
    :: else
    fi
}

#define ALLOWED(kind, x) (faults > 0 && (MAY & ((kind) << (x))))

inline spend()
{
    faults--;
    todo[0] = 1;
    todo[1] = 1
}
