// SPDX-License-Identifier: Apache-2.0
//
// What a side writes, sends and repeats. Included by link.pml.

// Writing: what the store should hold, against what it holds

#define HELLO_DIFFERS(x) \
    (own[x].h_core != m[x].core || own[x].h_conf != m[x].peer || own[x].h_try != m[x].tries)
#define STATE_DIFFERS(x) \
    (own[x].s_session != m[x].session || own[x].s_version != m[x].version || \
     own[x].s_acked != m[x].got)
#define SLOT_DIFFERS(x, k) \
    (m[x].slot[k] == 0 -> own[x].p_session[k] != 0 \
                       : (own[x].p_session[k] != m[x].session || \
                          own[x].p_number[k] != m[x].slot[k] || own[x].p_try[k] != m[x].try[k] || \
                          own[x].p_content[k] != m[x].content[m[x].slot[k]]))
#define RING_DIFFERS(x) (SLOT_DIFFERS(x, 0) || SLOT_DIFFERS(x, 1) || SLOT_DIFFERS(x, 2))
// Under this session's keys my store holds a version that I never wrote.
#ifdef BREAK_OWN_STORE
#define OWN_AHEAD(x) 0
#else
#define OWN_AHEAD(x) \
    (m[x].session != 0 && own[x].s_session == m[x].session && own[x].s_version > m[x].version)
#endif
#define DIFFERS(x) (HELLO_DIFFERS(x) || STATE_DIFFERS(x) || RING_DIFFERS(x))

#define PUT_OWN 1
#define PUT_BOTH 2

inline write_hello(x, how)
{
    own[x].h_core = m[x].core;
    own[x].h_conf = m[x].peer;
    own[x].h_try = m[x].tries;
    if
    :: how == PUT_BOTH -> copy_hello(seen[x], own[x])
    :: else
    fi
}

inline write_state(x, how)
{
    if
    :: m[x].session == 0 -> clear_state(own[x])
    :: else ->
        own[x].s_session = m[x].session;
        own[x].s_version = m[x].version;
        own[x].s_echo = m[x].peer_version;
        own[x].s_acked = m[x].got;
        own[x].s_missing = m[x].missing;
        own[x].s_digest = m[x].digest
    fi;
    if
    :: how == PUT_BOTH -> copy_state(seen[x], own[x])
    :: else
    fi
}

inline write_slot(x, k, how)
{
    if
    :: m[x].slot[k] == 0 -> clear_slot(own[x], k)
    :: else ->
        own[x].p_session[k] = m[x].session;
        own[x].p_number[k] = m[x].slot[k];
        own[x].p_try[k] = m[x].try[k];
        own[x].p_content[k] = m[x].content[m[x].slot[k]]
    fi;
    if
    :: how == PUT_BOTH -> copy_slot(seen[x], own[x], k)
    :: else
    fi
}

inline write_ring(x, how)
{
    for (k : 0 .. RING - 1) {
        if
        :: SLOT_DIFFERS(x, k) -> write_slot(x, k, how)
        :: else
        fi
    }
    k = 0
}

inline write(x)
{
    d_step {
        if
        :: HELLO_DIFFERS(x) -> write_hello(x, PUT_BOTH)
        :: else
        fi;
        if
        :: STATE_DIFFERS(x) -> write_state(x, PUT_BOTH)
        :: else
        fi;
        write_ring(x, PUT_BOTH);
        todo[1 - x] = 1
    }
}

// For each part: not done, done, or reported as done and not there for the reader.
inline odd_write(x)
{
    odd_writes--;
    pick(pick_hello);
    pick(pick_state);
    pick(pick_ring);
    d_step {
        if
        :: HELLO_DIFFERS(x) && pick_hello != SKIP -> write_hello(x, pick_hello)
        :: else
        fi;
        if
        :: STATE_DIFFERS(x) && pick_state != SKIP -> write_state(x, pick_state)
        :: else
        fi;
        if
        :: pick_ring != SKIP -> write_ring(x, pick_ring)
        :: else
        fi;
        pick_hello = 0;
        pick_state = 0;
        pick_ring = 0;
        todo[1 - x] = 1
    }
}
// Sending

#define SENT(b) \
    ((m[0].made >= 2 && (m[0].content[2] & 7) == b) || \
     (m[0].made >= 3 && (m[0].content[3] & 7) == b) || \
     (m[0].made >= 4 && (m[0].content[4] & 7) == b))
#define WAITS(b) (j[0].state[b] == QUEUED && !SENT(b))
#define ACKED(number) HAS(m[0].acked, number)
// Packet `made + 1` is within the window when all up to `made + 1 - WINDOW` are acknowledged.
#ifdef BREAK_WINDOW
#define WINDOW_OPEN 1
#else
#define WINDOW_OPEN \
    (m[0].made + 1 <= WINDOW || (ACKED(1) && (m[0].made < 3 || ACKED(2)) && m[0].made < 4))
#endif
#define FREE(k) (m[0].slot[k] == 0 || ACKED(m[0].slot[k]))
#define CAN_SEND \
    (m[0].synced && (WAITS(1) || WAITS(2) || WAITS(3)) && WINDOW_OPEN && \
     (FREE(0) || FREE(1) || FREE(2)))

inline send()
{
    d_step {
        best = 0;
        for (i : 1 .. BUNDLES) {
            if
            :: WAITS(i) && (best == 0 || j[0].number[i] < j[0].number[best]) -> best = i
            :: else
            fi
        }
        m[0].made++;
        assert(m[0].made <= PACKETS);
        m[0].content[m[0].made] = j[0].number[best] * 8 + best;
        if
        :: FREE(0) -> n = 0
        :: !FREE(0) && FREE(1) -> n = 1
        :: else -> n = 2
        fi;
#ifdef BREAK_OVERWRITE
        n = 0;
#endif
        m[0].slot[n] = m[0].made;
        m[0].try[n] = 0;
        best = 0;
        i = 0;
        n = 0
    }
}

// Timers

#define QUIET (!todo[0] && !todo[1] && !DIFFERS(0) && !DIFFERS(1) && !CAN_SEND)
#ifdef BREAK_HELLO_TIMER
#define NOT_LIVE(x) (!m[x].used && seen[1 - x].h_conf != m[x].core)
#else
#define NOT_LIVE(x) (!m[x].used)
#endif
#define UNACKED(x, k) (m[x].slot[k] != 0 && !HAS(m[x].acked, m[x].slot[k]))
#define WAITING(x) (UNACKED(x, 0) || UNACKED(x, 1) || UNACKED(x, 2))
#define COLLECTABLE(x) \
    (m[x].live && !WAITING(x) && (m[x].slot[0] || m[x].slot[1] || m[x].slot[2]))
#ifdef BREAK_OLDER_STATE
#define OLDER_TOO 0
#else
#define OLDER_TOO 1
#endif
#define MISSES(x) \
    (m[x].live && \
     (seen[1 - x].s_session != m[x].session || \
      (OLDER_TOO && seen[1 - x].s_version < m[x].peer_version)))
#define TIMER(x) (NOT_LIVE(x) || WAITING(x) || COLLECTABLE(x) || MISSES(x))

inline tick(x)
{
    if
    :: NOT_LIVE(x) ->
        m[x].tries++;
#ifndef BREAK_CORE_KEPT
        if
        :: m[x].tries == 3 ->
            forget_session(x);
            new_core(x)
        :: else
        fi
#endif
    :: else
    fi;
    if
    :: WAITING(x) ->
        for (i : 0 .. RING - 1) {
            if
            :: UNACKED(x, i) -> m[x].try[i] = !m[x].try[i]
            :: else
            fi
        }
        i = 0
    :: COLLECTABLE(x) ->
        for (i : 0 .. RING - 1) {
            m[x].slot[i] = 0;
            m[x].try[i] = 0
        }
        i = 0
    :: else
    fi;
    if
    :: MISSES(x) ->
        change_state(x);
        m[x].missing = 1
    :: else
    fi
}
