"""Who speaks? Nine speakers by the sound of two vowels: 270 utterances to learn from, 370 to tell, of 7 to 29 steps.

    pip install "lstm_fast[examples]"
    python examples/japanese_vowels.py [--bidirectional] [--seeds 0 1 2] [--epochs 60]

The data (Kudo, Toyama and Shimbo 1999; UCI archive) are read from the installed package aeon.
"""
import argparse
import importlib.util
import time
from pathlib import Path

import numpy as np

import lstm_fast as lf


def read(split):
    """Utterances, a list of (T, 12) arrays, and speakers 0 to 8."""
    spec = importlib.util.find_spec("aeon")
    if spec is None or spec.origin is None:
        raise SystemExit('the data are in the package aeon: pip install "lstm_fast[examples]"')
    path = Path(spec.origin).parent / "datasets" / "data" / "JapaneseVowels" / f"JapaneseVowels_{split}.ts"
    lines = path.read_text().split("@data\n")[1].splitlines()
    *channels, speakers = zip(*(line.split(":") for line in lines))
    x = [np.array([channel.split(",") for channel in utterance], float).T for utterance in zip(*channels)]
    return x, np.array(speakers, int) - 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bidirectional", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=60)
    arguments = parser.parse_args()
    (x, y), (x_test, y_test) = read("TRAIN"), read("TEST")
    mean, deviation = np.concatenate(x).mean(axis=0), np.concatenate(x).std(axis=0)
    x, x_test = ([(one - mean) / deviation for one in part] for part in (x, x_test))
    accuracies = []
    for seed in arguments.seeds:
        lstm = lf.LSTM(12, 64, batch_first=True, bidirectional=arguments.bidirectional, seed=seed)
        model = lf.train.SequenceModel(lstm, 9, readout="last", seed=seed)
        begin = time.perf_counter()
        lf.train.fit(model, x, y, loss="cross_entropy", optimizer=lf.train.Adam(lr=5e-3), epochs=arguments.epochs, batch_size=27,
                     clip_norm=1.0, seed=seed)
        seconds = time.perf_counter() - begin
        accuracies.append(np.mean(model.predict(x_test).argmax(axis=1) == y_test))
        print(f"seed {seed}: {accuracies[-1]:.3f} of the 370 told right after {seconds:.1f} s of training")
    print(f"mean {np.mean(accuracies):.3f}")
    return float(np.mean(accuracies))


if __name__ == "__main__":
    main()
