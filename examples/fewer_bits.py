"""Accuracy of low-precision formats: the networks of the examples, trained in float32 and scored in each format.

    pip install "lstm_fast[examples]"
    python examples/fewer_bits.py [--only NAME ...] [--seeds 0 1 2] [--out FORMATS.md]

Writes FORMATS.md: the mean score over the seeds in float32, and the difference from it in each format. The results do
not depend on the machine, except that the text of the character model is the documentation of the Python in use.
"""

import argparse
from pathlib import Path

import numpy as np

import lstm_fast as lf

FORMATS = {
    "float16": {"format": "float16"},
    "bfloat16": {"format": "bfloat16"},
    "int8": {"format": "int8"},
    'int8, `inputs="int16"`': {"format": "int8", "inputs": "int16"},
    'int8, `inputs="int8"`': {"format": "int8", "inputs": "int8"},
}


def in_formats(model, score):
    """The score of a model in float32 and in each format."""
    return [score(model), *(score(model.quantized(**options)) for options in FORMATS.values())]


def sunspots(seed):
    import sunspots as example

    return in_formats(example.train(seed)[0], example.score)


def vowels(seed, bidirectional=False):
    import japanese_vowels as example

    return in_formats(example.train(seed, bidirectional)[0], example.score)


def characters(seed):
    import character_model as example

    _, _, model, _ = example.run(seed)
    held_out = example.read()[2]
    return in_formats(model, lambda one: example.bits(one, held_out))


def pinyin(seed):
    import g2pm as example

    model = example.Batched()
    encoded = [model.encode(sentence) for sentence in example.draw(model, 1000, seed)]
    encoded = [(ids, positions) for ids, positions in encoded if positions]
    lstm, expected = model.lstm, np.concatenate(model.predict_all(encoded))

    def agreement(network):
        model.lstm = network
        return float(np.mean(np.concatenate(model.predict_all(encoded)) == expected))

    return in_formats(lstm, agreement)


TASKS = {
    "sunspots": ("sunspots: RMSE, lower is better", sunspots, [0, 1, 2]),
    "vowels": ("JapaneseVowels, LSTM-64: accuracy", vowels, [0, 1, 2]),
    "bidirectional": ("JapaneseVowels, BiLSTM-64: accuracy", lambda seed: vowels(seed, True), [0, 1, 2]),
    "characters": ("character model: bits per character, lower is better", characters, [0]),
    "pinyin": ("g2pM: characters read as in float32", pinyin, [0]),
}


def row(words, scores):
    """One line of the table: the mean in float32, and the difference of each format's mean from it."""
    full, *others = np.mean(scores, axis=0)
    return f"| {words} | {full:.4g} | " + " | ".join(f"{other - full:+.2g}" for other in others) + " |"


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", type=int, nargs="+", help="instead of those of each task")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "FORMATS.md")
    arguments = parser.parse_args(words)
    lines = ["| | float32 | " + " | ".join(FORMATS) + " |", "|---" * (2 + len(FORMATS)) + "|"]
    for name in arguments.only:
        title, task, seeds = TASKS[name]
        seeds = arguments.seeds or seeds
        lines.append(row(f"{title}; seeds {', '.join(map(str, seeds))}", [task(seed) for seed in seeds]))
        print(lines[-1], flush=True)
    arguments.out.write_text(
        "# Formats on tasks\n\nWritten by `python examples/fewer_bits.py`. The float32 column shows the mean score of "
        "each example's network, trained\nand scored in float32; the other columns show how much the score changes in "
        "each format.\n\n" + "\n".join(lines) + "\n"
    )
    return lines


if __name__ == "__main__":
    lf.set_num_threads(1)
    main()
