// SPDX-License-Identifier: Apache-2.0
//
// The kvpbus link, docs/protocol.md, as a model for spin. Side 0 sends bundles, side 1 receives
// them; both run the handshake and have registers, a ring and a journal. README.md beside this file
// says what is left out. scripts/model runs it with several configurations and broken rules.
//
// Faults are counted: once they are used up the world is faithful. Every run is then finite (each
// counter is asserted to stay small, and no timer fires more than TICKS times), and where nothing
// more can happen everything must be delivered and at rest. So "always drained in the end" and
// "idle means silent" are checked as safety, with no fairness assumed.

#ifndef GUEST
#define GUEST 0 // which side lives in the VM: a reverted VM takes both stores back with it
#endif
#ifndef BUNDLES
#define BUNDLES 3
#endif
#ifndef READY
#define READY 1 // bundles that are queued at the start; the others come at any time
#endif
#ifndef FAULTS
#define FAULTS 0 // crashes, wipes and reverts together, of the kinds that MAY has
#endif
#ifndef MAY
#define MAY 0
#endif
#ifndef ODD_READS
#define ODD_READS 0 // scans that are partial, torn or stale
#endif
#ifndef STALE_READS
#define STALE_READS 0 // 1: odd scans may show the checkpoint
#endif
#ifndef ODD_WRITES
#define ODD_WRITES 0 // writes of which a part is done, or reported as done and is not
#endif
#ifndef EARLY_TIMERS
#define EARLY_TIMERS 0 // timers that run out although something was still under way
#endif
// With RESEND, what the peer forgot is queued again; without, its outcome becomes unknown.

// Kinds of fault, for MAY; a side's kind is shifted by the side.
#define CRASH 1     // memory lost, journal kept
#define DISK 4      // journal back at the checkpoint, memory lost
#define MEMORY 16   // journal and memory back at the checkpoint
#define WIPE 64     // the store emptied by other software
#define HIDE 256    // the store emptied for its reader alone: its writer does not see it
#define RELIC 1024 // the reader sees the store as it was at the checkpoint: deleted keys come back
#define RENEW 4096 // a new core although nothing is wrong, as each side makes once a day
#define REVERTS (DISK * 3 + MEMORY * 3)
#define SNAPSHOT ((MAY & (REVERTS + RELIC * 3)) || STALE_READS)

#include "world.pml"
#include "session.pml"
#include "writing.pml"
#include "positions.pml"

// Scans

inline scan(x)
{
    d_step {
        todo[x] = 0;
        read_hello(x, seen[1 - x]);
        read_state(x, seen[1 - x]);
        for (k : 0 .. RING - 1) {
            read_slot(x, seen[1 - x], k)
        }
        k = 0
    }
}

// Partial, stale, or torn, which is both mixed with what is there now.
inline odd_scan(x)
{
    odd_reads--;
    pick(pick_hello);
    pick(pick_state);
    pick(pick_ring);
    d_step {
        if
        :: pick_hello == NOW || (pick_hello == STALE && taken) ->
            side = 1 - x + (pick_hello == STALE -> THEN : 0);
            read_hello(x, seen[side])
        :: else
        fi;
        if
        :: pick_state == NOW || (pick_state == STALE && taken) ->
            side = 1 - x + (pick_state == STALE -> THEN : 0);
            read_state(x, seen[side])
        :: else
        fi;
        if
        :: pick_ring == NOW || (pick_ring == STALE && taken) ->
            side = 1 - x + (pick_ring == STALE -> THEN : 0);
            for (k : 0 .. RING - 1) {
                read_slot(x, seen[side], k)
            }
            k = 0
        :: else
        fi;
        side = 0;
        pick_hello = 0;
        pick_state = 0;
        pick_ring = 0
    }
}

// At rest

inline check()
{
    d_step {
        assert(m[0].live && m[1].live && m[0].session == m[1].session);
        assert(m[0].session == SESSION(0) && m[1].session == SESSION(1));
        for (id : 1 .. BUNDLES) {
            assert(j[0].state[id] != QUEUED); // drained
            assert(j[0].state[id] != DELIVERED || HAS(j[1].ids, id))
        }
        for (i : 0 .. RING - 1) { // collected
            assert(own[0].p_session[i] == 0 && own[1].p_session[i] == 0)
        }
        for (i : 0 .. 1) { // only the registers are left, and the peer can see them
            assert(seen[i].s_session == m[i].session)
        }
        id = 0;
        i = 0;
        faults = 0; // none after the end
        odd_reads = 0;
        early = 0;
        checked = 1
    }
}

// For a person who reads a trail.
inline report(x)
{
    printf("    %d: core %d peer %d session %d live %d version %d/%d acked %d got %d made %d\n", x,
           m[x].core, m[x].peer, m[x].session, m[x].live, m[x].version, m[x].peer_version,
           m[x].acked, m[x].got, m[x].made);
    printf("       hello %d,%d state %d v%d e%d a%d ring %d.%d %d.%d %d.%d\n", own[x].h_core,
           own[x].h_conf, own[x].s_session, own[x].s_version, own[x].s_echo, own[x].s_acked,
           own[x].p_session[0], own[x].p_number[0], own[x].p_session[1], own[x].p_number[1],
           own[x].p_session[2], own[x].p_number[2])
}

#define MAY_WRITE(x) (DIFFERS(x) && !OWN_AHEAD(x))
#define END (QUIET && !TIMER(0) && !TIMER(1) && made_ids == BUNDLES)

proctype Side(byte x)
{
    do
    :: atomic {
        if
        :: todo[x] -> printf("%d scan\n", x); scan(x)
        :: OWN_AHEAD(x) -> printf("%d own store ahead\n", x); d_step { renew(x) }
        :: MAY_WRITE(x) -> printf("%d write\n", x); write(x)
#ifdef BREAK_EARLY_ACK
        :: x == 1 && m[1].unsaved != 0 -> save_late()
#endif
        :: x == 0 && CAN_SEND -> printf("%d send\n", x); send()
        :: x == 0 && made_ids < BUNDLES -> printf("%d queue\n", x); d_step { queue() }
        :: x == 0 && QUIET && (TIMER(0) || TIMER(1)) ->
            printf("timers\n");
            d_step {
                ticks++;
                assert(ticks <= TICKS); // a world in order needs few
                tick(0);
                tick(1)
            }
        :: early > 0 && TIMER(x) ->
            printf("%d early timer\n", x);
            d_step { early--; tick(x) }
        :: odd_reads > 0 -> printf("%d odd scan\n", x); odd_scan(x)
        :: odd_writes > 0 && MAY_WRITE(x) -> printf("%d odd write\n", x); odd_write(x)
        :: ALLOWED(CRASH, x) -> printf("%d crash\n", x); d_step { spend(); crash(x) }
        :: ALLOWED(RENEW, x) && m[x].used ->
            printf("%d renew\n", x);
            d_step { spend(); forget_session(x); new_core(x) }
        :: ALLOWED(DISK, x) && taken ->
            printf("%d disk back\n", x);
            d_step { spend(); revert(x); crash(x) }
        :: ALLOWED(MEMORY, x) && taken ->
            printf("%d memory back\n", x);
            d_step { spend(); revert(x); copy_memory(m[x], m[x + THEN]) }
        :: ALLOWED(WIPE, x) ->
            printf("%d wipe\n", x);
            d_step { spend(); clear_store(own[x]); clear_store(seen[x]) }
        :: ALLOWED(HIDE, x) -> printf("%d hide\n", x); d_step { spend(); clear_store(seen[x]) }
        :: ALLOWED(RELIC, x) && taken ->
            printf("%d relic\n", x);
            d_step { spend(); copy_store(seen[x], seen[x + THEN]) }
        :: x == 0 && SNAPSHOT && !taken && faults + odd_reads > 0 ->
            printf("checkpoint\n");
            checkpoint()
        :: x == 0 && !checked && END -> check()
        fi;
        report(x)
    }
    :: checked -> break
    od
}

init
{
    d_step {
        faults = FAULTS;
        odd_reads = ODD_READS;
        odd_writes = ODD_WRITES;
        early = EARLY_TIMERS;
        lines = 1;
        j[0].timeline = 1;
        j[0].timelines = BIT(1);
        new_core(0);
        new_core(1);
        todo[0] = 1;
        todo[1] = 1;
        do
        :: made_ids < READY -> queue()
        :: else -> break
        od
    }
    atomic {
        run Side(0);
        run Side(1)
    }
}
