/* A team is as slow as its slowest worker, and a worker whose processor another process takes stands still for
 * milliseconds while the others wait. What its workers ran is about what one thread would have taken, so that a team
 * that took longer has lost the difference.
 *
 * Teams have a budget of time to lose. What they save fills it; a call on one thread adds a twentieth of its time;
 * what they lose is taken from it, and while it is overdrawn, calls run on one thread. So teams are never much more
 * than a twentieth slower than one thread, whatever else runs; and on a quiet machine the budget is full, and the
 * milliseconds that the system takes now and then do not exhaust it.
 *
 * Twenty times what was lost is long once the neighbor has gone. The debt is therefore forgiven when the system has
 * had processors to spare for a while: at first five milliseconds, twice as long each time that teams then lose again,
 * until they have filled the budget. */
#include "oversubscription.h"

#include <stdatomic.h>

#define BUDGET_NS 20000000ll /* a full budget: a few time slices of another process */
#define DEBT_NS 500000000ll  /* largest debt, ten seconds on one thread: a virtual machine may have been paused */
#define SERIAL_CALLS_PER_LOSS 20
#define LEAST_PATIENCE_NS 5000000ll
#define MOST_PATIENCE_NS 2000000000ll

static atomic_llong budget_ns = BUDGET_NS; /* races between teams may lose an entry */
static atomic_llong spare_ns;              /* time for which calls on one thread have had idle processors around */
static atomic_llong patience_ns = LEAST_PATIENCE_NS;

static int64_t get(const atomic_llong *ns) { return atomic_load_explicit(ns, memory_order_relaxed); }
static void set(atomic_llong *ns, int64_t value) { atomic_store_explicit(ns, value, memory_order_relaxed); }

static void add(int64_t ns) {
    int64_t budget = get(&budget_ns) + ns;
    if (budget >= BUDGET_NS) {
        budget = BUDGET_NS;
        set(&patience_ns, LEAST_PATIENCE_NS);
    }
    set(&budget_ns, budget < -DEBT_NS ? -DEBT_NS : budget);
}

bool lstm_is_oversubscribed(void) { return get(&budget_ns) < 0; }

void lstm_record_serial_call(int64_t elapsed_ns, bool has_spare_processors) {
    add(elapsed_ns / SERIAL_CALLS_PER_LOSS);
    set(&spare_ns, has_spare_processors ? get(&spare_ns) + elapsed_ns : 0);
    const int64_t patience = get(&patience_ns);
    if (get(&spare_ns) < patience || !lstm_is_oversubscribed()) return;
    set(&spare_ns, 0);
    set(&budget_ns, 0);
    set(&patience_ns, 2 * patience < MOST_PATIENCE_NS ? 2 * patience : MOST_PATIENCE_NS);
}

void lstm_record_team(int64_t elapsed_ns, int64_t ran_ns) { add(ran_ns - elapsed_ns); }
