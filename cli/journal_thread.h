// SPDX-License-Identifier: Apache-2.0
//
// The journal's own thread: the executor of bus.h in the programs. All jobs that wait, and those of
// one turn of the loop in any case, are one transaction (group commit), so that many small messages
// and the packets of a scan share one fsync.
#ifndef KVPBUS_JOURNAL_THREAD_H
#define KVPBUS_JOURNAL_THREAD_H

#include <uv.h>

#include "bus.h"

struct kvpbus_journal_thread;

// Takes over the open journal; from now on only the thread uses it. Jobs are finished on `loop`.
// `before` is called on the loop's thread before jobs are finished: the time for the bus to learn
// what time it is.
enum kvpbus_error kvpbus_journal_thread_start(uv_loop_t *loop, struct kvpbus_journal *journal,
                                              void (*before)(void *context), void *context,
                                              struct kvpbus_journal_thread **thread);
struct kvpbus_executor *kvpbus_journal_thread_executor(struct kvpbus_journal_thread *thread);
// Runs what is queued, ends the thread, closes the journal and finishes the last jobs. `thread` is
// freed by the loop, which must run on until it has no handles.
void kvpbus_journal_thread_stop(struct kvpbus_journal_thread *thread);

#endif
