// SPDX-License-Identifier: Apache-2.0
//
// What the journals know of bundles: queueing, SYNC and its judgement, timelines, committing.
// Included by link.pml.

inline queue()
{
    made_ids++;
    j[0].next++;
    j[0].state[made_ids] = QUEUED;
    j[0].line[made_ids] = j[0].timeline;
    j[0].number[made_ids] = j[0].next
}

// What SYNC says: the timeline of what I send, or what I hold of the peer's.
inline make_sync(x)
{
    if
    :: x == 0 -> m[x].sync = j[0].timeline
    :: else ->
        m[x].sync = j[1].known;
        for (i : 1 .. BUNDLES) {
            m[x].sync = m[x].sync * 4 + j[1].held[i]
        }
        i = 0
    fi
}

#define HELD_BY_PEER(content, number) (((content) >> (2 * (BUNDLES - (number)))) & 3)

// Side 1 only remembers what it is told until the first bundle comes; side 0 judges.
inline take_sync(x, content)
{
    if
    :: x == 1 ->
        m[1].got = BIT(1);
#ifdef BREAK_EARLY_ADOPTION
        adopt(content)
#endif
    :: else -> judge_sync(content)
    fi
}

#define MINE(b, which, at) \
    (j[0].state[b] != NONE && j[0].line[b] == which && j[0].number[b] == at)
#ifdef BREAK_FORMER_TIMELINES
#define COUNTS(b, which) (j[0].line[b] == j[0].timeline)
#else
#define COUNTS(b, which) (j[0].line[b] >= which)
#endif

// The receiver's timeline and the ids it holds there, against all that I know as delivered: in that
// timeline, and in those that I made after it.
inline judge_sync(content)
{
    best = content >> (2 * BUNDLES); // its timeline
    word = best != 0 && !HAS(j[0].timelines, best); // set when I went back
#ifndef BREAK_LOST_TIMELINE
    j[0].timelines = j[0].timelines | BIT(best); // mine all the same, from a time that is gone
#endif
    if
    :: best == j[0].timeline ->
        for (i : 1 .. BUNDLES) {
            id = HELD_BY_PEER(content, i);
#ifdef BREAK_SYNC_IDS
            if
            :: id != 0 ->
                id = 0;
                for (k : 1 .. BUNDLES) {
                    if
                    :: MINE(k, best, i) -> id = k
                    :: else
                    fi
                }
                k = 0;
                word = word | (id == 0)
            :: else
            fi;
#endif
            if
            :: id == 0 -> skip
            :: id != 0 && MINE(id, best, i) ->
                assert(HAS(committed, id)); // no loss
                j[0].state[id] = DELIVERED
            :: else -> word = 1
            fi
        }
    :: else
    fi;
    flag = 0; // set when the peer went back
    if
    :: word == 0 || best == j[0].timeline ->
        for (id : 1 .. BUNDLES) {
            if
            :: j[0].state[id] == DELIVERED && COUNTS(id, best) &&
                   (j[0].line[id] != best || HELD_BY_PEER(content, j[0].number[id]) != id) ->
                assert(reverted[1]); // else the outcome is wrong
#ifdef RESEND
                j[0].state[id] = QUEUED;
#else
                j[0].state[id] = UNKNOWN;
#endif
                flag = 1
            :: else
            fi
        }
    :: else
    fi;
    i = 0;
    id = 0;
    best = 0;
#ifdef BREAK_TIMELINE_KEPT
    word = 0;
#endif
    if
    :: word != 0 || flag ->
        assert(flag || reverted[0]);
        new_timeline();
        renew(0)
    :: else ->
        m[0].got = BIT(1);
        m[0].synced = 1
    fi;
    flag = 0;
    word = 0
}

// What is queued is numbered again.
inline new_timeline()
{
    lines++;
    assert(lines < 15);
    j[0].timeline = lines;
    j[0].timelines = j[0].timelines | BIT(lines);
    best = 0;
    for (i : 1 .. BUNDLES) {
        for (id : 1 .. BUNDLES) {
            if
            :: j[0].state[id] == QUEUED && j[0].number[id] == i && j[0].line[id] != lines ->
                best++;
                j[0].line[id] = lines;
                j[0].number[id] = best
            :: else
            fi
        }
    }
    j[0].next = best;
    best = 0;
    i = 0;
    id = 0
}

inline adopt(line)
{
    if
    :: j[1].known != (line) ->
        j[1].known = line;
        for (i : 1 .. BUNDLES) {
            j[1].held[i] = 0
        }
        i = 0
    :: else
    fi
}

inline take_bundle(what)
{
    m[1].got = m[1].got | BIT(n);
#ifdef BREAK_EARLY_ACK
    m[1].unsaved = m[1].unsaved | BIT(n);
    m[1].content[n] = what
#else
    commit(what)
#endif
}

// One transaction of the receiver's journal.
inline commit(what)
{
    adopt(m[1].digest & 7); // the timeline of the sender's SYNC
    best = what >> 3;
    id = what & 7;
    assert(j[1].held[best] == 0 || j[1].held[best] == id); // no fork gets past SYNC
    j[1].held[best] = id;
    if
#ifndef BREAK_DUPLICATES
    :: HAS(j[1].ids, id) -> skip // it came in another timeline
#endif
    :: else ->
        assert(!HAS(j[1].ids, id)); // no double delivery
        j[1].ids = j[1].ids | BIT(id)
    fi;
    committed = committed | BIT(id);
    best = 0;
    id = 0
}

#ifdef BREAK_EARLY_ACK
inline save_late()
{
    d_step {
        for (n : 2 .. PACKETS) {
            if
            :: HAS(m[1].unsaved, n) -> commit(m[1].content[n])
            :: else
            fi
        }
        n = 0;
        m[1].unsaved = 0
    }
}
#endif
