# Memory of calls: aligned blocks, and a pool of workspaces.

cdef void *allocate(size_t n) except NULL:
    cdef void *memory = malloc(n if n else 1)
    if memory == NULL:
        raise MemoryError()
    return memory


cdef class Block:
    """n uninitialized bytes aligned to a cache line, with their address at no cost of a memoryview.

    memory: a uint8 array to use, large enough to hold them from its first address that is a multiple of 64.
    """
    cdef readonly object data, memory
    cdef void *address
    cdef int64_t n

    def __cinit__(self, int64_t n, memory=None):
        cdef Memory a
        if not 0 <= n <= <int64_t>1 << 62:
            raise MemoryError(f"cannot allocate {n} bytes")
        if memory is None:
            memory = numpy.empty(n + 64, numpy.uint8)
        elif type(memory) is not plain_array:
            raise TypeError(f"memory must be an ndarray, got {type(memory).__name__}")
        if not read_buffer(memory, b'B', PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE, &a) or a.ndim != 1:
            raise ValueError("memory must be a contiguous writeable array of uint8")
        cdef int64_t skip = -<int64_t><uintptr_t>a.data & 63
        if a.shape[0] < skip + n:
            raise ValueError(f"memory must hold {n} bytes after its first multiple of 64, got {a.shape[0] - skip}")
        self.memory, self.data = memory, memory[skip:skip + n]
        self.address, self.n = <char *>a.data + skip, n

    @property
    def nbytes(self):
        return self.n


# The pool: workspaces not in use by any call. list.pop and list.append are atomic, so no lock is needed that a fork or
# a signal handler could find held.
cdef list spare_workspaces = []
cdef int64_t LARGEST_SPARE = 64 << 20  # bytes


cdef Block borrow_workspace(int64_t n):
    cdef Block workspace = None
    try:
        if spare_workspaces:
            workspace = spare_workspaces.pop()
    except IndexError:  # another thread took it
        pass
    return workspace if workspace is not None and workspace.n >= n else Block(n)


cdef int return_workspace(Block workspace) except -1:
    try:
        if workspace is not None and workspace.n <= LARGEST_SPARE and len(spare_workspaces) < 4:
            spare_workspaces.append(workspace)
    except MemoryError:  # the next call allocates one
        pass
    return 0
