# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, freethreading_compatible=True
"""The binding, module lstm_fast._core: arrays -> argument struct -> C call without the GIL -> status to exception.

Private. Its callers check shapes and dtypes with friendlier messages. Independently of them, nothing here reads or
writes outside the given arrays: each shape is checked against the model for which the weights were packed. README.md
describes the files.
"""
import itertools
import os
import threading
import warnings

import numpy

cimport cython
from cpython.buffer cimport (PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_FillInfo,
                              PyBuffer_Release)
from cpython.exc cimport PyErr_Clear, PyErr_ExceptionMatches
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport sqrt
from libc.stdint cimport int64_t, uint8_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memmove, memset

from lstm_fast._binding.csrc cimport *

LARGEST_SIZE = LSTM_LARGEST_SIZE  # input, hidden and projection sizes and num_layers
MOST_THREADS = LSTM_MOST_THREADS  # per call

include "instruction_sets.pxi"
include "buffers.pxi"
include "memory.pxi"
include "parameters.pxi"
include "calls.pxi"
include "lengths.pxi"
include "tape.pxi"
include "weights.pxi"
include "inference.pxi"
include "live.pxi"
include "stream.pxi"
include "torch_tensors.pxi"
include "training.pxi"
include "fleet.pxi"
include "fleet_training.pxi"
include "testing.pxi"
