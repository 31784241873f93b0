"""How is it pronounced? A published network that runs in NumPy, with lstm_fast in place of its loop: the same words, faster.

    pip install "lstm_fast[examples]"
    python examples/g2pm.py [--sentences 1000]

g2pM (Park and Lee 2020, Apache-2.0) writes Chinese in pinyin. Sentences with characters of several readings go through a
bidirectional LSTM of 32 units, whose weights come with the package under PyTorch's names, and which it runs in NumPy, step
by step. Here its class keeps everything but that loop.

The sentences are the example of g2pM's description and drawings from its dictionary with a fixed seed: 5 to 40 characters
that the network knows, every third with several readings, with commas between.
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
        'the network and its dictionary are in the package g2pM: pip install "lstm_fast[examples]"'
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
    """G2pM with lstm_fast in place of its loop."""

    def load_variable(self, state_dict):
        super().load_variable(state_dict)
        self.lstm = weights.load(state_dict, batch_first=True)

    def predict(self, inputs, target_idx):
        """Readings of the characters target_idx of one sentence, inputs (1, T)."""
        output, _ = self.lstm(self.get_embedding(inputs[0]))
        return self.fc_layer(output[target_idx]).argmax(axis=1)


class Batched(Fast):
    """All sentences in one call of the LSTM."""

    def encode(self, sentence):
        """Numbers of the characters (T,), and places of those with several readings."""
        ids = [self.char2idx.get(c, self.char2idx[UNK_TOKEN]) for c in sentence]
        places = [k for k, c in enumerate(sentence, 1) if len(self.cedict.get(c, ())) > 1]
        return np.array([self.char2idx[BOS_TOKEN], *ids, self.char2idx[EOS_TOKEN]]), places

    def predict_all(self, encoded):
        """Readings of each sentence's characters."""
        ids, places = zip(*encoded)
        lengths, counts = np.array([len(one) for one in ids]), [len(one) for one in places]
        padded = np.zeros((len(ids), lengths.max()), int)
        padded[np.arange(lengths.max()) < lengths[:, None]] = np.concatenate(ids)
        output, _ = self.lstm(self.get_embedding(padded), lengths=lengths)
        readings = self.fc_layer(output[np.repeat(np.arange(len(ids)), counts), np.concatenate(places)]).argmax(axis=1)
        return np.split(readings, np.cumsum(counts)[:-1])

    def all(self, sentences):
        encoded = [self.encode(sentence) for sentence in sentences]
        self.readings = iter(self.predict_all([(ids, places) for ids, places in encoded if places]))
        return [self(sentence) for sentence in sentences]

    def predict(self, inputs, target_idx):
        return next(self.readings)


def draw(model, n, seed=0):
    """n sentences; the first is the example."""
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
            lambda: [plain.predict(ids[None], places) for ids, places in encoded],
        ),
        "lstm_fast, one by one": (
            lambda: [fast(sentence) for sentence in sentences],
            lambda: [fast.predict(ids[None], places) for ids, places in encoded],
        ),
        "lstm_fast, one batch": (lambda: batched.all(sentences), lambda: batched.predict_all(encoded)),
    }
    measured = {name: [timed(way) for way in both] for name, both in ways.items()}
    (wanted, first), (readings, first_alone) = next(iter(measured.values()))
    print(f"{n} sentences, {sum(map(len, readings))} characters of several readings; the first: {' '.join(wanted[0])}")
    for name, ((result, seconds), (_, alone)) in measured.items():
        print(
            f"{name}: {seconds:.3f} s, {first / seconds:.1f} times as fast; the network alone {alone:.3f} s, "
            f"{first_alone / alone:.1f} times; {sum(a == b for a, b in zip(result, wanted))} of {n} sentences the same"
        )
    return [(words, codes) for (words, _), (codes, _) in measured.values()]


def timed(way):
    """(result, seconds)"""
    begin = time.perf_counter()
    result = way()
    return result, time.perf_counter() - begin


if __name__ == "__main__":
    main()
