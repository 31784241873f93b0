/* A team is as slow as its slowest worker, and a worker whose processor another process takes stands still for
 * milliseconds while the others wait in a barrier. The time that the workers ran over the time elapsed is the speedup
 * over one thread. When that of the last teams was hardly above one, calls fall back to one thread for a while; then
 * teams try again, and if they do no better, the back-off doubles.
 *
 * The evidence must outlast the occasional millisecond that the host of a virtual machine takes, unless it is
 * overwhelming. The back-off is counted in the time of calls, not by the clock, so that infrequent callers keep it. */
#include "oversubscription.h"

#include <stdatomic.h>

#define WORTHWHILE_SPEEDUP 1.1
#define OVERWHELMING_SPEEDUP 0.7 /* below it, a fourth of the evidence is enough */
#define EVIDENCE_NS 40000000ll   /* team time before a conclusion; beyond twice that, the older half fades */
#define SHORTEST_BACKOFF_NS 40000000ll
#define LONGEST_BACKOFF_NS 1000000000ll
#define LONGEST_BACKOFF_CALLS 32   /* if longer: a team that takes twice the time of one thread then costs 3 % */
#define FORGOTTEN_NS 10000000000ll /* by the clock */

/* Races between teams may lose an entry. */
static atomic_llong backoff_left_ns, backoff_ns, concluded_ns, recent_ns, recent_ran_ns;
#define RECALL(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define REMEMBER(x, value) atomic_store_explicit(&(x), value, memory_order_relaxed)

bool lstm_is_oversubscribed(long long now_ns) {
    return RECALL(backoff_left_ns) > 0 && now_ns - RECALL(concluded_ns) < FORGOTTEN_NS;
}

void lstm_record_serial_call(long long elapsed_ns) { REMEMBER(backoff_left_ns, RECALL(backoff_left_ns) - elapsed_ns); }

static void back_off(long long now_ns, long long elapsed_ns) {
    const long long shortest = SHORTEST_BACKOFF_NS + 2 * elapsed_ns, calls = LONGEST_BACKOFF_CALLS * elapsed_ns;
    const long long longest = calls > LONGEST_BACKOFF_NS ? calls : LONGEST_BACKOFF_NS;
    long long backoff = now_ns - RECALL(concluded_ns) < FORGOTTEN_NS ? 2 * RECALL(backoff_ns) : 0;
    if (backoff < shortest) backoff = shortest;
    if (backoff > longest) backoff = longest;
    REMEMBER(backoff_ns, backoff);
    REMEMBER(backoff_left_ns, backoff);
    REMEMBER(concluded_ns, now_ns);
    REMEMBER(recent_ns, 0);
    REMEMBER(recent_ran_ns, 0);
}

void lstm_record_team(long long now_ns, long long elapsed_ns, long long ran_ns) {
    const long long fade = RECALL(recent_ns) > 2 * EVIDENCE_NS ? 2 : 1;
    const long long recent = RECALL(recent_ns) / fade + elapsed_ns, ran = RECALL(recent_ran_ns) / fade + ran_ns;
    const double speedup = (double)ran / (double)(recent + 1);
    REMEMBER(recent_ns, recent);
    REMEMBER(recent_ran_ns, ran);
    const bool is_enough = recent >= EVIDENCE_NS;
    if (recent < EVIDENCE_NS / 4 || speedup > (is_enough ? WORTHWHILE_SPEEDUP : OVERWHELMING_SPEEDUP)) {
        if (is_enough) REMEMBER(backoff_ns, 0); /* teams work again */
        return;
    }
    back_off(now_ns, elapsed_ns);
}
