/* The shared C library is compiled with this in front (CMakeLists.txt): it exports what lstm_fast.h declares. The
 * Python extension exports its entry alone. */
#ifndef LSTM_EXPORTED_H
#define LSTM_EXPORTED_H

#pragma GCC visibility push(default)
#include "lstm_fast.h"
#include "lstm_fleet.h"
#pragma GCC visibility pop

#endif
