"""Grapheme-to-phoneme conversion: a published network written in NumPy, with lstm_fast instead of its loop over time.

    pip install "lstm_fast[examples]"
    python examples/g2pm.py [--sentences 1000]

g2pM (Park and Lee 2020, Apache-2.0) converts Chinese characters to pinyin. Sentences with polyphonic characters go
through a bidirectional LSTM of 32 units, whose weights are shipped with the package under PyTorch's names. g2pM runs
it in NumPy, step by step; here, everything but that loop remains its own code.

The sentences are the example of g2pM's documentation and random ones from its dictionary with a fixed seed: 5 to 40
characters of the network's vocabulary, every third polyphonic, with commas in between.
"""

import argparse
import time

import numpy as np

from lstm_fast import weights

try:
    from g2pM import G2pM
    from g2pM.g2pM import BOS_TOKEN, EOS_TOKEN, UNK_TOKEN
except ImportError:
    raise SystemExit(
        'the network and its dictionary come with the package g2pM: pip install "lstm_fast[examples]"'
    ) from None

EXAMPLE = "然而，他红了20年以后，他竟退出了大家的视线。"
PINYIN = [
    "ran2",
    "er2",
    "，",
    "ta1",
    "hong2",
    "le5",
    "20",
    "nian2",
    "yi3",
    "hou4",
    "，",
    "ta1",
    "jing4",
    "tui4",
    "chu1",
    "le5",
    "da4",
    "jia1",
    "de5",
    "shi4",
    "xian4",
    "。",
]


class Fast(G2pM):
    """G2pM with lstm_fast instead of its loop over time."""

    def load_variable(self, state_dict):
        super().load_variable(state_dict)
        self.lstm = weights.load(state_dict, batch_first=True)

    def predict(self, inputs, target_idx):
        """Readings of the characters at target_idx in one sentence, inputs (1, T)."""
        output, _ = self.lstm(self.get_embedding(inputs[0]))
        return self.fc_layer(output[target_idx]).argmax(axis=1)


class Batched(Fast):
    """All sentences in one call of the LSTM."""

    def encode(self, sentence):
        """Indices of the characters (T,), and positions of the polyphonic ones."""
        ids = [self.char2idx.get(c, self.char2idx[UNK_TOKEN]) for c in sentence]
        positions = [k for k, c in enumerate(sentence, 1) if len(self.cedict.get(c, ())) > 1]
        return np.array([self.char2idx[BOS_TOKEN], *ids, self.char2idx[EOS_TOKEN]]), positions

    def predict_all(self, encoded):
        """Readings of the polyphonic characters of each sentence."""
        ids, positions = zip(*encoded)
        lengths, counts = np.array([len(one) for one in ids]), [len(one) for one in positions]
        padded = np.zeros((len(ids), lengths.max()), int)
        padded[np.arange(lengths.max()) < lengths[:, None]] = np.concatenate(ids)
        output, _ = self.lstm(self.get_embedding(padded), lengths=lengths)
        readings = self.fc_layer(output[np.repeat(np.arange(len(ids)), counts), np.concatenate(positions)]).argmax(
            axis=1
        )
        return np.split(readings, np.cumsum(counts)[:-1])

    def all(self, sentences):
        encoded = [self.encode(sentence) for sentence in sentences]
        self.readings = iter(self.predict_all([(ids, positions) for ids, positions in encoded if positions]))
        return [self(sentence) for sentence in sentences]

    def predict(self, inputs, target_idx):
        return next(self.readings)


def draw(model, n, seed=0):
    """n sentences, the first of which is the example."""
    rng = np.random.default_rng(seed)
    known = sorted(set(model.cedict) & set(model.char2idx))
    one, several = ([c for c in known if (len(model.cedict[c]) > 1) == many] for many in (False, True))
    sentences = [EXAMPLE]
    while len(sentences) < n:
        T = rng.integers(5, 41)
        pick = np.where(np.arange(T) % 3 == 1, rng.choice(several, T), rng.choice(one, T))
        sentences.append("，".join("".join(part) for part in np.split(pick, range(8, T, 8))) + "。")
    return sentences


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sentences", type=int, default=1000)
    n = parser.parse_args().sentences
    plain, fast, batched = G2pM(), Fast(), Batched()
    sentences = draw(plain, n)
    encoded = [batched.encode(sentence) for sentence in sentences]
    ways = {
        "g2pM's loop in NumPy": (
            lambda: [plain(sentence) for sentence in sentences],
            lambda: [plain.predict(ids[None], positions) for ids, positions in encoded],
        ),
        "lstm_fast, one by one": (
            lambda: [fast(sentence) for sentence in sentences],
            lambda: [fast.predict(ids[None], positions) for ids, positions in encoded],
        ),
        "lstm_fast, one batch": (lambda: batched.all(sentences), lambda: batched.predict_all(encoded)),
    }
    measured = {name: [timed(way) for way in both] for name, both in ways.items()}
    (expected, first), (readings, first_alone) = next(iter(measured.values()))
    print(f"{n} sentences, {sum(map(len, readings))} polyphonic characters; the first: {' '.join(expected[0])}")
    for name, ((result, seconds), (_, alone)) in measured.items():
        n_equal = sum(a == b for a, b in zip(result, expected))
        print(
            f"{name}: {seconds:.3f} s, speed-up {first / seconds:.1f}; the network alone {alone:.3f} s, "
            f"speed-up {first_alone / alone:.1f}; {n_equal} of {n} sentences the same"
        )
    return [(words, codes) for (words, _), (codes, _) in measured.values()]


def timed(way):
    """(result, seconds)"""
    begin = time.perf_counter()
    result = way()
    return result, time.perf_counter() - begin


if __name__ == "__main__":
    main()
