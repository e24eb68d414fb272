// SPDX-License-Identifier: Apache-2.0
//
// Handshake, and what a side makes of the peer's registers and packets. Included by link.pml.

#define SESSION(x) (x == 0 -> m[0].core * 16 + m[0].peer : m[1].peer * 16 + m[1].core)

// Sessions

inline forget_session(x)
{
    m[x].session = 0;
    m[x].live = 0;
    m[x].version = 0;
    m[x].missing = 0;
    m[x].peer_version = 0;
    m[x].acked = 0;
    m[x].got = 0;
    m[x].tried = 0;
    m[x].digest = 0;
    m[x].synced = 0;
    m[x].made = 0;
    m[x].unsaved = 0;
    for (i : 0 .. PACKETS) {
        m[x].content[i] = 0
    }
    for (i : 0 .. RING - 1) {
        m[x].slot[i] = 0;
        m[x].try[i] = 0
    }
    i = 0
}

inline new_core(x)
{
    cores[x]++;
    assert(cores[x] <= CORES);
    m[x].core = cores[x];
    m[x].used = 0;
    m[x].tries = 0
}

// One of us went back, or positions do not fit: end the session and begin another with a new core.
inline renew(x)
{
    assert(reverted[0] || reverted[1]);
    forget_session(x);
    new_core(x);
    todo[x] = 1
}

// From here on the session before is over: SYNC must not be overtaken by what it commits.
inline begin_session(x)
{
    forget_session(x);
    m[x].session = SESSION(x);
    m[x].version = 1;
    m[x].made = 1;
    m[x].slot[0] = 1;
#ifndef BREAK_OLD_SESSION
    make_sync(x);
#endif
    m[x].content[1] = m[x].sync;
    m[x].sync = 0;
    todo[x] = 1
}

// An item under the session's keys was opened.
inline go_live(x)
{
    if
    :: !m[x].live ->
        m[x].live = 1;
        m[x].used = 1;
        assert(!HAS(j[x].retired, m[x].peer)); // no session from an old hello
#ifdef BREAK_RETIRE_ALL
        j[x].retired = j[x].retired | m[x].others;
        m[x].others = 0;
#else
        if
        :: m[x].met != 0 && m[x].met != m[x].peer -> j[x].retired = j[x].retired | BIT(m[x].met)
        :: else
        fi;
#endif
        m[x].met = m[x].peer;
        todo[x] = 1
    :: else
    fi
}

inline change_state(x)
{
    m[x].version++;
    m[x].missing = 0;
    assert(m[x].version <= VERSIONS)
}
// Reading

inline read_hello(x, s)
{
    if
    :: s.h_core == 0 -> skip
#ifndef BREAK_RETIRED
    :: s.h_core != 0 && HAS(j[x].retired, s.h_core) -> skip
#endif
    :: else ->
        if
        :: s.h_core != m[x].peer ->
#ifdef BREAK_OLD_SESSION
            make_sync(x);
#else
            forget_session(x);
#endif
#ifndef BREAK_CORE_REUSE
            if
            :: m[x].used -> new_core(x)
            :: else
            fi;
#endif
#ifdef BREAK_RETIRE_ALL
            m[x].others = (m[x].others | BIT(m[x].peer)) & ~BIT(s.h_core) & ~1;
#endif
            m[x].peer = s.h_core;
            todo[x] = 1
        :: else
        fi;
        if
        :: s.h_conf == m[x].core && m[x].session != SESSION(x) -> begin_session(x)
        :: else
        fi
    fi
}

// Only what the present session's keys open is believed.
#define READABLE(x, s) (s != 0 && s == m[x].session && (m[x].live || s == SESSION(x)))

// Digest of one packet's content at its place among the others. The receiver sends only SYNC.
#define PLACED(x, number, content) (x == 0 -> (((content) & 7) << (3 * ((number) - 1))) : (content))

inline read_state(x, s)
{
    if
#ifdef BREAK_ABSENCE
    :: x == 0 && m[0].live && s.s_session == 0 ->
        for (i : 2 .. m[0].made) {
            assert(HAS(committed, m[0].content[i] & 7));
            j[0].state[m[0].content[i] & 7] = DELIVERED
        }
        i = 0
    :: !(x == 0 && m[0].live && s.s_session == 0) && !READABLE(x, s.s_session) -> skip
#else
    :: !READABLE(x, s.s_session) -> skip
#endif
    :: else ->
        go_live(x);
        flag = 0;
        word = 0;
        for (i : 1 .. PACKETS) {
            if
            :: HAS(s.s_acked, i) ->
                flag = flag || i > m[x].made;
                word = word | PLACED(x, i, m[x].content[i])
            :: else
            fi
        }
        i = 0;
        if
#ifndef BREAK_LOWER_VERSION
        :: s.s_version < m[x].peer_version -> skip
#endif
        :: s.s_version == m[x].peer_version ->
            if
#ifndef BREAK_SAME_VERSION
            :: s.s_acked != m[x].acked -> renew(x) // one version, two contents
#endif
            :: else
            fi
        :: else ->
            if
#ifndef BREAK_ECHO_CHECK
            :: s.s_echo > m[x].version -> renew(x) // it has seen what I never wrote
#endif
#ifndef BREAK_TAKEN_BACK
            :: (m[x].acked & s.s_acked) != m[x].acked -> renew(x)
#endif
#ifndef BREAK_DIGEST
            :: flag || word != s.s_digest -> renew(x) // it acknowledges what I did not send
#endif
            :: else -> accept_state(x, s)
            fi
        fi;
        flag = 0;
        word = 0
    fi
}

inline accept_state(x, s)
{
    m[x].peer_version = s.s_version;
    m[x].acked = s.s_acked;
    todo[x] = 1;
#ifdef BREAK_ECHO_WRITES
    change_state(x);
#endif
#ifndef BREAK_MISSING
    if
    :: s.s_missing -> change_state(x)
    :: else
    fi;
#endif
    if
    :: x == 0 ->
        for (i : 2 .. PACKETS) {
            if
            :: HAS(m[0].acked, i) ->
                id = m[0].content[i] & 7;
                assert(HAS(committed, id)); // no loss
                j[0].state[id] = DELIVERED
            :: else
            fi
        }
        i = 0;
        id = 0
    :: else
    fi
}

#define IN_WINDOW(x, number) \
    ((number) <= WINDOW || (m[x].got | ((BIT(PACKETS) << 1) - BIT((number) - WINDOW + 1)) | 1) == \
                               (BIT(PACKETS) << 1) - 1)

inline read_slot(x, s, k)
{
    if
    :: !READABLE(x, s.p_session[k]) -> skip
    :: else ->
        go_live(x);
        n = s.p_number[k];
        if
        :: HAS(m[x].got, n) ->
            if
            :: HAS(m[x].tried, n) != s.p_try[k] ->
                m[x].tried = m[x].tried ^ BIT(n);
#ifndef BREAK_ATTEMPT
                change_state(x);
#endif
                todo[x] = 1
            :: else
            fi
        :: else ->
            if
            :: n == 1 -> take_sync(x, s.p_content[k])
            :: n > 1 && !IN_WINDOW(x, n) -> renew(x) // my acknowledgement went back
            :: n > 1 && IN_WINDOW(x, n) && HAS(m[x].got, 1) -> take_bundle(s.p_content[k])
            :: else
            fi;
            if
            :: HAS(m[x].got, n) ->
                m[x].tried = m[x].tried | (s.p_try[k] << n);
                m[x].digest = m[x].digest | PLACED(1 - x, n, s.p_content[k]);
                change_state(x);
                todo[x] = 1
            :: else
            fi
        fi;
        n = 0
    fi
}
