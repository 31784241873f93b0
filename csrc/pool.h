/* A pool of sleeping workers: teams without OpenMP. */
#ifndef LSTM_POOL_H
#define LSTM_POOL_H

/* What each worker of a team runs; rank 0 is the caller. */
typedef void lstm_team_function(int rank, int size, void *arguments);

/* Runs the function on up to n workers and returns their number: fewer if no more threads can be started. Several
 * threads may call at once: each gets separate workers. After a fork, the child starts its own workers. */
int lstm_run_pool(int n, lstm_team_function *, void *arguments);

/* Call once. */
void lstm_watch_forks_of_pool(void);

#endif
