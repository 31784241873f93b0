/* Teams without Python and without OpenMP, for ThreadSanitizer: concurrent callers, each with its own team,
 * whose workers exchange numbers at barriers; an interrupted call; children made by fork in the middle of it. */
#include "threads.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "system.h"

enum { CALLERS = 3, CALLS = 60, BARRIERS = 20, MOST = 4 };

struct exchange {
    int64_t numbers[2][MOST]; /* of even and odd barriers */
    int wrong, size;
};

static void exchange(struct lstm_worker *worker, void *arguments) {
    struct exchange *e = arguments;
    if (worker->rank == 0) e->size = worker->size;
    for (int k = 0; k < BARRIERS; k++) {
        e->numbers[k % 2][worker->rank] = 100 * k + worker->rank;
        if (!lstm_barrier(worker)) return;
        for (int rank = 0; rank < worker->size; rank++)
            if (worker->rank == 0 && e->numbers[k % 2][rank] != 100 * k + rank) e->wrong++;
        if (!lstm_barrier(worker)) return;
    }
}

/* A pipeline: each worker adds one to what the previous worker has left in one of `BUFFERS` slots. */
enum { STAGES = 40, BUFFERS = 4 };

struct pipeline {
    int64_t numbers[MOST][BUFFERS];
    int wrong;
};

static void pipeline(struct lstm_worker *worker, void *arguments) {
    struct pipeline *p = arguments;
    const int rank = worker->rank, size = worker->size;
    for (int wave = 0; wave < STAGES + size; wave++) {
        const int k = wave - rank;
        if (k >= 0 && k < STAGES) {
            if (rank > 0) lstm_await(worker, rank - 1, 0);
            if (rank < size - 1) lstm_await(worker, rank + 1, BUFFERS - 2);
            const int64_t n = rank ? p->numbers[rank - 1][k % BUFFERS] + 1 : k;
            p->numbers[rank][k % BUFFERS] = n;
            if (rank == size - 1 && n != k + rank) p->wrong++;
        }
        lstm_arrive(worker);
    }
    if (!lstm_barrier(worker)) p->wrong++;
}

static void until_interrupted(struct lstm_worker *worker, void *arguments) {
    (void)arguments;
    do lstm_cancelled(worker, 1ll << 24);
    while (lstm_barrier(worker));
}

/* Rank 0 has nothing to do but to wait for the others. */
static void late(struct lstm_worker *worker, void *arguments) {
    (void)arguments;
    while ((worker->rank || worker->size == 1) && !lstm_cancelled(worker, 1ll << 24)) lstm_relax();
}

static bool interrupt(void *context) { return ++*(int *)context == 2; }

static int one_call(int n_threads) {
    const struct lstm_call call = {.split = LSTM_SPLIT_UNITS, .n_threads = n_threads};
    struct exchange e = {.wrong = 0};
    struct pipeline p = {.wrong = 0};
    if (lstm_parallel(&call, n_threads, pipeline, &p) != LSTM_OK || p.wrong) return 1;
    if (lstm_parallel(&call, n_threads, exchange, &e) != LSTM_OK || e.wrong || e.size != n_threads) return 1;
    return 0;
}

static void *caller(void *wrong) {
    for (int k = 0; k < CALLS; k++) *(int *)wrong += one_call(1 + k % MOST);
    int asked = 0;
    const struct lstm_call call = {.split = LSTM_SPLIT_UNITS, .interrupted = interrupt, .interrupted_context = &asked};
    *(int *)wrong += lstm_parallel(&call, 3, until_interrupted, NULL) != LSTM_INTERRUPTED;
    asked = 0;
    *(int *)wrong += lstm_parallel(&call, 3, late, NULL) != LSTM_INTERRUPTED;
    return NULL;
}

int main(int n_words, char **words) {
    (void)words;
    pthread_t threads[CALLERS];
    int wrong[CALLERS] = {0}, failed = 0;
    lstm_watch_forks();
    for (int k = 0; k < CALLERS; k++) pthread_create(threads + k, NULL, caller, wrong + k);
    for (int k = 0; n_words == 1 && k < 20;
         k++) { /* (with a word, without forks: sanitizers have threads of their own) */
        const pid_t child = fork();
        if (child == 0) _exit(one_call(2) || one_call(3));
        int status;
        waitpid(child, &status, 0);
        failed += status != 0;
    }
    for (int k = 0; k < CALLERS; k++) pthread_join(threads[k], NULL), failed += wrong[k];
    printf("%d failed\n", failed);
    return failed != 0;
}
