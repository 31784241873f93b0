/* Oversubscription: when to fall back to one thread, because other processes keep the workers from running. A hint for
 * the whole process; results do not depend on it. */
#ifndef LSTM_OVERSUBSCRIPTION_H
#define LSTM_OVERSUBSCRIPTION_H

#include <stdbool.h>

/* Whether a call that starts now should run on one thread. */
bool lstm_is_oversubscribed(long long now_ns);

/* Such a call took elapsed_ns. */
void lstm_record_serial_call(long long elapsed_ns);

/* A team took elapsed_ns up to now; its workers ran for ran_ns together, spinning in barriers excluded. */
void lstm_record_team(long long now_ns, long long elapsed_ns, long long ran_ns);

#endif
