/* A team is as slow as its slowest worker, and a worker whose processor another process takes stands still for
 * milliseconds while the others wait. What its workers ran is about what one thread would have taken, so that a team
 * that took longer has lost the difference.
 *
 * Teams have a budget of time to lose. What they save fills it; a call on one thread adds a twentieth of its own time;
 * what they lose is taken from it, and while it is overdrawn, calls run on one thread. So teams are never much more
 * than a twentieth slower than one thread, whatever else runs; on a quiet machine the budget is full, and the
 * milliseconds that the system takes now and then do not exhaust it; and once the neighbour is gone, one thread lasts
 * for twenty times what was lost. (Before, a conclusion from the last 40 ms held for up to a second, so that one
 * disturbance decided over calls long after it.) */
#include "oversubscription.h"

#include <stdatomic.h>

#define BUDGET_NS 20000000ll /* when full: a few time slices of a neighbour */
#define DEBT_NS 500000000ll  /* the most, ten seconds on one thread: a virtual machine may have been paused */
#define SERIAL_CALLS_PER_LOSS 20

static atomic_llong budget_ns = BUDGET_NS; /* races between teams may lose an entry */

static void add(int64_t ns) {
    int64_t budget = atomic_load_explicit(&budget_ns, memory_order_relaxed) + ns;
    if (budget > BUDGET_NS) budget = BUDGET_NS;
    if (budget < -DEBT_NS) budget = -DEBT_NS;
    atomic_store_explicit(&budget_ns, budget, memory_order_relaxed);
}

bool lstm_is_oversubscribed(void) { return atomic_load_explicit(&budget_ns, memory_order_relaxed) < 0; }

void lstm_record_serial_call(int64_t elapsed_ns) { add(elapsed_ns / SERIAL_CALLS_PER_LOSS); }

void lstm_record_team(int64_t elapsed_ns, int64_t ran_ns) { add(ran_ns - elapsed_ns); }
