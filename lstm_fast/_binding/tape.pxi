# What a tape holds, as arrays.

cdef tuple activations_of_tape(const lstm_call *call, Block tape, dtype, int64_t layer, int64_t direction):
    """Views of gates (T, B, 4, H), c (T + 1, B, H) and h (T, B, D * R). The tape must belong to this call
    and have gates.

    Units lie in blocks of a vector: unit k is number k % V of block k // V."""
    cdef int64_t T = call.T, B = call.B, H = call.model.hidden_size, R = h_size_of(&call.model)
    cdef int64_t V = call.isa.vector_bytes // dtype.itemsize, blocks = (H + V - 1) // V
    gates = numbers_of_tape(tape, dtype, lstm_tape_gates(call, layer, direction), (T, B, blocks, 4, V))
    gates = gates.swapaxes(2, 3).reshape(T, B, 4, blocks * V)[..., :H]
    c = numbers_of_tape(tape, dtype, lstm_tape_c(call, layer, direction), (T + 1, B, blocks * V))[..., :H]
    return gates, c, numbers_of_tape(tape, dtype, lstm_tape_h(call, layer), (T, B, call.model.num_directions * R))


cdef object numbers_of_tape(Block tape, dtype, int64_t offset, tuple shape):
    n = dtype.itemsize
    for size in shape:
        n *= size
    return tape.data[offset:offset + n].view(dtype).reshape(shape)
