"""A character-level language model of Python's own documentation, and text sampled from it.

    python examples/character_model.py [--seeds 0] [--epochs 10] [--temperature 0.7]

The text is pydoc_data.topics, which help("if") shows: about 350 000 characters of English that every Python
installation has. Nine tenths are for training. The score is the number of bits per character on the last tenth, that
is, its size if it were compressed with the model's predictions. The baselines are n-gram models of the same nine
tenths: they count the characters that followed the previous n - 1, interpolated with the model of the next shorter
context. Duplicate paragraphs are removed, so that nothing in the last tenth occurs in the training text.

The network takes characters as indices (``index_input=True``), which gives the same bits as one-hot vectors.

Training uses pieces of 100 characters, each from a zero state; evaluation and sampling carry the state through the
whole text in a stream, one character at a time. The settings were not tuned.
"""

import argparse
from collections import Counter, defaultdict
from pydoc_data import topics

import numpy as np

import lstm_fast as lf

SEED_TEXT = "\n\nThe "


def read(n_characters=None):
    """(alphabet, training text, held-out text), as arrays of indices. n_characters: length of the training text."""
    text = "\n\n".join(topics.topics[topic] for topic in sorted(topics.topics)).encode("ascii", "replace").decode()
    text = "\n\n".join(dict.fromkeys(text.split("\n\n")))
    letters, codes = np.unique(np.frombuffer(text.encode(), np.uint8), return_inverse=True)
    cut = len(codes) * 9 // 10
    return bytes(letters).decode(), codes[:cut][:n_characters], codes[cut:]


def n_gram_bits(train, held_out, n_letters, order, strength=3.0):
    """Bits per character of n-grams, p = (count + strength * p of the shorter context) / (counts + strength)."""
    train, held_out = train.tolist(), held_out.tolist()
    p = np.full(len(held_out), 1 / n_letters)
    for n in range(order):
        counts = defaultdict(Counter)
        for k in range(n, len(train)):
            counts[tuple(train[k - n : k])][train[k]] += 1
        totals = {context: sum(counter.values()) for context, counter in counts.items()}
        for k in range(n, len(held_out)):
            context = tuple(held_out[k - n : k])
            if context in totals:
                p[k] = (counts[context][held_out[k]] + strength * p[k]) / (totals[context] + strength)
    return float(-np.log2(p).mean())


def bits(model, text):
    """Bits per character of a text, in one pass with the state carried through."""
    z = model.stream().block(text[:-1]).astype(float)
    z -= z.max(axis=1, keepdims=True)
    return float((np.log2(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), text[1:]] / np.log(2)).mean())


def write(model, alphabet, n, temperature, seed):
    """Sample n characters; each is the input of the next step of the stream."""
    rng, stream = np.random.default_rng(seed), model.stream()
    z = stream.block([alphabet.index(character) for character in SEED_TEXT])[-1]
    text = SEED_TEXT
    for _ in range(n):
        z = z.astype(float) / temperature
        p = np.exp(z - z.max())
        k = rng.choice(len(alphabet), p=p / p.sum())
        text += alphabet[k]
        z = stream.step(k)
    return text


def run(seed, epochs=10, hidden_size=128, n_characters=None, piece=100):
    """(bits per character of the held-out text, seconds of training, model, alphabet)"""
    alphabet, train, held_out = read(n_characters)
    V, n = len(alphabet), (len(train) - 1) // piece
    x, y = train[: n * piece].reshape(n, piece), train[1 : n * piece + 1].reshape(n, piece)
    lstm = lf.LSTM(V, hidden_size, batch_first=True, seed=seed, forget_bias=1.0, index_input=True)
    model = lf.train.SequenceModel(lstm, V, readout="all", seed=seed)
    history = lf.train.fit(
        model,
        x,
        y,
        loss="cross_entropy",
        optimizer=lf.train.Adam(lr=1e-2),
        lr_schedule="cosine",
        epochs=epochs,
        batch_size=32,
        clip_norm=1.0,
        seed=seed,
    )
    return bits(model, held_out), sum(history.seconds), model, alphabet


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--characters", type=int, help="length of the training text (default: all)")
    arguments = parser.parse_args(words)
    alphabet, train, held_out = read(arguments.characters)
    grams = [f"{n}: {n_gram_bits(train, held_out, len(alphabet), n):.3f}" for n in range(1, 7)]
    print(f"{len(train)} characters for training, {len(held_out)} held out, {len(alphabet)} distinct")
    print(f"bits per character of n-gram models on the held-out text, n = {', '.join(grams)}", flush=True)
    scores = []
    for seed in arguments.seeds:
        score, seconds, model, alphabet = run(seed, arguments.epochs, n_characters=arguments.characters)
        scores.append(score)
        print(write(model, alphabet, 400, arguments.temperature, seed).strip())
        print(f"seed {seed}: LSTM {score:.3f} bits per character after {seconds:.0f} s of training", flush=True)
    return max(scores)


if __name__ == "__main__":
    main()
