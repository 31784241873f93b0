"""A text compressor whose model learns during compression: the decompressor trains the same network again.

    python examples/compressor.py [--characters 100000]    pack, unpack, compare; report the size of xz too
    python examples/compressor.py pack FILE PACKED
    python examples/compressor.py unpack PACKED FILE

An LSTM predicts each byte from the previous ones, an arithmetic coder writes it in -log2(p) bits, and every few bytes
both sides take the same training step. If the two networks ever differed in a single bit, the rest of the text would
be noise, so this requires the same bits from every step of inference and training, on any instruction set, with any
number of threads. The demonstration packs on one instruction set with one thread and unpacks on another with two. The
compressor runs a chunk of steps in one call, the decompressor one step at a time.

The coder only sees integers: a table computed in integer arithmetic converts logits to frequencies, because libraries
disagree on the last bit of exp. Kernels without fused multiply-add (`portable`) round differently. A packed file
therefore ends with the fingerprint of the trained network, and unpacking with other bits raises an error.

It shows reproducibility, not compression: on texts of this size xz makes smaller files, in a fraction of the time.

The text is pydoc_data.topics, which every Python installation has (see character_model.py).
"""

import argparse
import lzma
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import lstm_fast as lf

MAGIC = b"lstm_fast compressor 1\n"
LANES, CHUNK = 4, 8  # number of positions read in parallel; steps between two training steps
HIDDEN_SIZE, LR = 128, 4e-3
FRACTION, SPAN = 256, 16  # logits are multiples of 1 / FRACTION, at most SPAN below the largest
BITS, TOP, BOTTOM = 48, 1 << 40, 1 << 32  # of the coder; frequencies add up to less than BOTTOM


def table_of_exponentials():
    """2^32 exp(-n / FRACTION), each the integer below, by integer arithmetic."""
    one = term = ratio = 1 << 64
    for k in range(1, 20):  # the series of exp(-1 / FRACTION)
        term //= FRACTION * k
        ratio += term if k % 2 == 0 else -term
    values = [one]
    for _ in range(SPAN * FRACTION):
        values.append(values[-1] * ratio >> 64)
    return np.array([value >> 32 for value in values], np.int64)


EXPONENTIALS = table_of_exponentials()


def frequencies(logits):
    """Positive integers in the proportion of the probabilities, by exact operations on float32 and integers."""
    below = np.rint((logits.max(axis=-1, keepdims=True) - logits) * np.float32(FRACTION))
    weights = EXPONENTIALS[np.minimum(below, SPAN * FRACTION).astype(np.int64)]
    return 1 + (weights >> 12)  # from 1 to 2^20 + 1


class Network:
    """An LSTM, and a linear layer: an RNN of the identity whose recurrent weights are and stay zero."""

    def __init__(self, n_symbols):
        self.targets = np.eye(n_symbols, dtype=np.float32)
        self.layers = (
            lf.LSTM(n_symbols, HIDDEN_SIZE, forget_bias=1.0, seed=0, index_input=True),
            lf.RNN(HIDDEN_SIZE, n_symbols, nonlinearity="identity", bias=True, seed=1),
        )
        linear = self.layers[1]
        with linear.edit() as p:
            for name in p:
                p[name] = np.zeros_like(p[name])
        self.optimizer = lf.train.Adam(lr=LR)
        self.moments = [self.optimizer.moments(layer.flat_parameters) for layer in self.layers]
        self.state, self.n_steps = None, 0
        self.recurrent = linear.parameter_slices["weight_hh_l0"]

    def predict(self, symbols, state):
        """Frequencies (T, LANES, n_symbols) of what follows each symbol, and the last state."""
        lstm, linear = self.layers
        h, state = lstm(symbols, state)
        return frequencies(linear(h)[0]), state

    def learn(self, symbols, following, counts):
        """One training step on a chunk, starting from the current state and updating it."""
        lstm, linear = self.layers
        h, state, tape = lstm.forward(symbols, self.state)
        _, _, linear_tape = linear.forward(h)
        d = counts / counts.sum(axis=-1, keepdims=True) - self.targets[following]
        of_linear = linear.backward(linear_tape, (d / following.size).astype(np.float32))
        of_linear.flat[self.recurrent] = 0
        of_lstm = lstm.backward(tape, of_linear.d_x)
        self.state, self.n_steps = state, self.n_steps + 1
        for layer, moments, gradients in zip(self.layers, self.moments, (of_lstm, of_linear)):
            flat = layer.flat_parameters.copy()
            self.optimizer.step(flat, gradients.flat, moments, self.n_steps, LR / (1 + self.n_steps / 3000), 1.0)
            layer.load_flat_parameters(flat, copy=False)

    def fingerprint(self):
        return bytes.fromhex(lf.fingerprint(dict(enumerate_parameters(self.layers))))[:8]


def enumerate_parameters(layers):
    for k, layer in enumerate(layers):
        for name, value in layer.parameters().items():
            yield f"{k}.{name}", value


class Encoder:
    """Carryless range coder of 48 bits."""

    def __init__(self):
        self.low, self.range, self.out = 0, (1 << BITS) - 1, bytearray()

    def put(self, begin, count, total):
        self.range //= total
        self.low = self.low + begin * self.range & (1 << BITS) - 1
        self.range *= count
        while (n := settled(self.low, self.range)) is not None:
            self.out.append(self.low >> BITS - 8)
            self.low, self.range = self.low << 8 & (1 << BITS) - 1, n << 8

    def end(self):
        return bytes(self.out) + self.low.to_bytes(BITS // 8, "big")


class Decoder:
    def __init__(self, data):
        self.low, self.range, self.data, self.place = 0, (1 << BITS) - 1, data, BITS // 8
        self.code = int.from_bytes(data[: self.place], "big")

    def get(self, cumulative):
        """The index of the symbol; cumulative frequencies begin with 0 and end with their total."""
        self.range //= int(cumulative[-1])
        target = min((self.code - self.low & (1 << BITS) - 1) // self.range, int(cumulative[-1]) - 1)
        k = int(np.searchsorted(cumulative, target, "right")) - 1
        self.low = self.low + int(cumulative[k]) * self.range & (1 << BITS) - 1
        self.range *= int(cumulative[k + 1] - cumulative[k])
        while (n := settled(self.low, self.range)) is not None:
            byte = self.data[self.place] if self.place < len(self.data) else 0
            self.place += 1
            self.code = (self.code << 8 | byte) & (1 << BITS) - 1
            self.low, self.range = self.low << 8 & (1 << BITS) - 1, n << 8
        return k


def settled(low, n):
    """The range, cut if it became too small, if the first byte of the code is settled; else None."""
    if (low ^ (low + n)) < TOP:
        return n
    return -low & BOTTOM - 1 if n < BOTTOM else None


def cumulate(counts):
    return np.concatenate([np.zeros((*counts.shape[:-1], 1), np.int64), counts.cumsum(axis=-1)], axis=-1)


def chunks(n_steps):
    return [(begin, min(begin + CHUNK, n_steps)) for begin in range(0, n_steps, CHUNK)]


def pack(text):
    """The compressed bytes of a text."""
    letters, codes = np.unique(np.frombuffer(text, np.uint8), return_inverse=True)
    n_steps = -(-len(codes) // LANES)
    lanes = np.zeros(n_steps * LANES, np.int64)
    lanes[: len(codes)] = codes
    lanes = lanes.reshape(LANES, n_steps).T
    before = np.vstack([np.zeros((1, LANES), np.int64), lanes[:-1]])
    network, coder = Network(max(1, len(letters))), Encoder()
    for begin, end in chunks(n_steps):
        symbols, following = before[begin:end], lanes[begin:end]
        counts, _ = network.predict(symbols, network.state)
        ends = cumulate(counts)
        for row, of_row in zip(ends.reshape(-1, ends.shape[-1]), following.reshape(-1)):
            coder.put(int(row[of_row]), int(row[of_row + 1] - row[of_row]), int(row[-1]))
        network.learn(symbols, following, counts)
    alphabet = np.packbits(np.isin(np.arange(256), letters)).tobytes()
    return MAGIC + len(text).to_bytes(8, "big") + alphabet + network.fingerprint() + coder.end()


def unpack(data):
    """The text of compressed bytes. Raises ValueError if they are damaged or were packed by a build with other bits."""
    n = len(MAGIC)
    if not data.startswith(MAGIC) or len(data) < n + 48 + BITS // 8:
        raise ValueError("data must be written by pack")
    length = int.from_bytes(data[n : n + 8], "big")
    letters = np.flatnonzero(np.unpackbits(np.frombuffer(data[n + 8 : n + 40], np.uint8))).astype(np.uint8)
    n_steps = -(-length // LANES)
    lanes = np.zeros((n_steps, LANES), np.int64)
    network, coder = Network(max(1, len(letters))), Decoder(data[n + 48 :])
    last = np.zeros(LANES, np.int64)
    for begin, end in chunks(n_steps):
        state, symbols, counts = network.state, [], []
        for step in range(begin, end):
            of_step, state = network.predict(last[None], state)
            symbols.append(last)
            counts.append(of_step[0])
            last = lanes[step] = np.array([coder.get(row) for row in cumulate(of_step[0])])
        network.learn(np.stack(symbols), lanes[begin:end], np.stack(counts))
    if network.fingerprint() != data[n + 40 : n + 48]:
        raise ValueError("data are damaged, or were packed by a build that gives other bits")
    return letters[lanes.T.reshape(-1)[:length]].tobytes()


def documentation(n_characters):
    from character_model import read

    alphabet, train, held_out = read()
    text = bytes(alphabet.encode()[code] for code in np.concatenate([train, held_out]))
    return text[:n_characters]


def elsewhere(words, isa, n_threads):
    """Run this script in another process on an instruction set and a number of threads."""
    environment = os.environ | {"LSTM_FAST_ISA": isa, "OMP_NUM_THREADS": str(n_threads)}
    subprocess.run([sys.executable, __file__, *words], env=environment, check=True)


def demonstrate(n_characters):
    """Sizes of the text, packed by this script and by xz, and whether it was restored."""
    text = documentation(n_characters)
    available = [isa for isa in lf.info()["isa_available"] if isa != "portable"] or ["portable"]
    there, back = available[-1], available[0]
    with tempfile.TemporaryDirectory() as folder:
        plain, packed, again = (str(Path(folder, name)) for name in ("plain", "packed", "again"))
        Path(plain).write_bytes(text)
        begin = time.monotonic()
        elsewhere(["pack", plain, packed], there, 1)
        middle = time.monotonic()
        elsewhere(["unpack", packed, again], back, 2)
        seconds = middle - begin, time.monotonic() - middle
        n, is_same = len(Path(packed).read_bytes()), Path(again).read_bytes() == text
    xz = len(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME))
    print(
        f"{len(text)} bytes; lstm_fast {n} ({8 * n / len(text):.3f} bits per byte), xz {xz} ({8 * xz / len(text):.3f})"
    )
    print(
        f"packed on {there} with 1 thread in {seconds[0]:.0f} s, unpacked on {back} with 2 in {seconds[1]:.0f} s: ",
        end="",
    )
    print("equal to the byte" if is_same else "NOT the same text")
    return len(text), n, xz, is_same


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", nargs="?", choices=["demonstrate", "pack", "unpack"], default="demonstrate")
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument("--characters", type=int, help="length of the text (default: all)")
    arguments = parser.parse_args(words)
    if arguments.action == "demonstrate":
        return demonstrate(arguments.characters)
    source, target = arguments.files
    data = Path(source).read_bytes()
    Path(target).write_bytes(pack(data) if arguments.action == "pack" else unpack(data))
    return None


if __name__ == "__main__":
    main()
