/* Oversubscription: when to fall back to one thread, because other processes keep the workers from running. A hint for
 * the whole process; results do not depend on it. */
#ifndef LSTM_OVERSUBSCRIPTION_H
#define LSTM_OVERSUBSCRIPTION_H

#include <stdbool.h>
#include <stdint.h>

/* Whether a call that starts now should run on one thread. */
bool lstm_is_oversubscribed(void);

/* Records a call on one thread, which took elapsed_ns. has_spare_processors: a team would have found a processor for
 * each worker. */
void lstm_record_serial_call(int64_t elapsed_ns, bool has_spare_processors);

/* Records a call of a team, which took elapsed_ns; its workers ran for ran_ns together, spinning in barriers excluded.
 * */
void lstm_record_team(int64_t elapsed_ns, int64_t ran_ns);

#endif
