"""Arrays next to protected pages: nothing is read or written outside them."""

from scripts import run


def test_no_access_outside_the_arrays():
    """Each array ends, or begins, at a protected page."""
    run("""
    import ctypes, itertools, mmap
    from lstm_fast import _core
    from lstm_fast._tape import BackwardArrays
    page = mmap.PAGESIZE
    libc = ctypes.CDLL(None, use_errno=True)
    maps = []
    def guarded(shape, dtype, at_end):
        n = int(np.prod(shape)) * np.dtype(dtype).itemsize
        pages = max(1, -(-n // page))
        memory = mmap.mmap(-1, (pages + 2) * page)
        maps.append(memory)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        for guard in (address, address + (pages + 1) * page):
            assert libc.mprotect(ctypes.c_void_p(guard), page, 0) == 0
        begin = page + (pages * page - n if at_end else 0)
        array = np.frombuffer(memory, np.uint8)[begin:begin + n].view(dtype).reshape(shape)
        array[...] = rng.standard_normal(shape) if dtype != np.uint8 else rng.integers(0, 2, shape)
        return array
    def check(cell, G, is_variant, dtype, at_end, T, B, I, H, L=2, D=2, compute_dtype=None):
        maps.clear()
        def new(*shape):
            return guarded(shape, dtype, at_end)
        options = dict(peepholes=True, layer_norm=True, proj_size=H - 1, cell_clip=1.0) if is_variant and H > 1 else {}
        R = H - 1 if options else H
        def new_weights():
            extra = [new(R, H), new(3 * H), new(4 * H), new(4 * H), new(H), new(H)] if R < H else [None] * 6
            return [(new(G * H, I if k < D else D * R), new(G * H, R), new(G * H), new(G * H), *extra,
                     *((new(R), new(H)) if is_variant else (None, None)), None, None) for k in range(L * D)]
        if compute_dtype:
            options["compute_dtype"] = compute_dtype
        weights = _core.Weights(cell, dtype, I, H, L, D, new_weights(), **(options if cell == "lstm" else {}))
        x, output, h_0, h_n, c_0, c_n = new(T, B, I), new(T, B, D * R), *(new(L * D, B, n) for n in (R, R, H, H))
        resets = guarded((T, B), np.uint8, at_end) if is_variant else None
        weights.forward(x, h_0, c_0, output, h_n, c_n, None, 2, resets=resets)
        run = 0.5, 0.1 * is_variant, 0.1 * is_variant, 0.1 * (R < H), 1, is_variant
        tape = _core.Block(weights.tape_bytes(T, B, run))
        weights.forward(x, h_0, c_0, output, h_n, c_n, tape, 2, run, resets=resets)
        d_x, d_h_0, d_c_0 = new(T, B, I), new(L * D, B, R), new(L * D, B, H)
        arrays = BackwardArrays(x, h_0, c_0, output, h_n, c_n, d_x, d_h_0, d_c_0, new_weights())
        weights.backward(tape, arrays, 2, run, resets=resets)
    def check_int8(at_end, T, B, I, H, L=2, D=2):
        maps.clear()
        def new(*shape, dtype=np.float32):
            return guarded(shape, dtype, at_end)
        def whole(*shape):
            return new(*shape, dtype=np.int8)
        weights = [(whole(4 * H, I if k < D else D * H), whole(4 * H, H), *(None,) * 10, new(4 * H), new(4 * H))
                   for k in range(L * D)]
        weights = _core.Weights("lstm", np.float32, I, H, L, D, weights, format="int8", input_bits=16)
        x, output, states = new(T, B, I), new(T, B, D * H), [new(L * D, B, H) for _ in range(4)]
        states[0][...] = 0.5  # h_0 is from -1 to 1
        weights.forward(x, states[0], states[1], output, states[2], states[3], None, 2)
    for isa, dtype, at_end in itertools.product(_core.available_isas(), (np.float32, np.float64), (True, False)):
        _core.use_isa(isa)
        for shape in ((3, 2, 1, 1), (2, 3, 3, 7), (3, 7, 16, 9), (2, 1, 5, 17), (1, 4, 20, 33), (4, 5, 2, 64)):
            check("lstm", 4, False, dtype, at_end, *shape)
            check("lstm", 4, True, dtype, at_end, *shape)
            check("relu", 1, False, dtype, at_end, *shape)
            if dtype == np.float32:
                for compute_dtype in ("bfloat16", "bfloat16_amx"):
                    check("lstm", 4, False, dtype, at_end, *shape, compute_dtype=compute_dtype)
                    check("lstm", 4, True, dtype, at_end, *shape, compute_dtype=compute_dtype)
                check_int8(at_end, *shape)
    """)
