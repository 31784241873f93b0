"""Speaker identification: nine speakers by their pronunciation of two vowels, utterances of 7 to 29 steps.

    pip install "lstm_fast[examples]"
    python examples/japanese_vowels.py [--bidirectional] [--seeds 0 1 2] [--epochs 60]

270 utterances are for training, 370 for testing. The data (Kudo, Toyama and Shimbo 1999; UCI archive) are read from
the installed package aeon.
"""

import argparse

import numpy as np

import lstm_fast as lf
from installed import folder


def read(split):
    """Utterances, a list of (T, 12) arrays, and their speakers, 0 to 8."""
    path = folder("aeon") / "datasets" / "data" / "JapaneseVowels" / f"JapaneseVowels_{split}.ts"
    lines = path.read_text().split("@data\n")[1].splitlines()
    *channels, speakers = zip(*(line.split(":") for line in lines))
    x = [np.array([channel.split(",") for channel in utterance], float).T for utterance in zip(*channels)]
    return x, np.array(speakers, int) - 1


def data():
    """((utterances, speakers) for training, the same for testing), standardized"""
    (x, y), (x_test, y_test) = read("TRAIN"), read("TEST")
    mean, deviation = np.concatenate(x).mean(axis=0), np.concatenate(x).std(axis=0)
    x, x_test = ([(one - mean) / deviation for one in part] for part in (x, x_test))
    return (x, y), (x_test, y_test)


def train(seed, bidirectional=False, epochs=60):
    """(model, seconds of training)"""
    (x, y), _ = data()
    lstm = lf.LSTM(12, 64, batch_first=True, bidirectional=bidirectional, seed=seed)
    model = lf.train.SequenceModel(lstm, 9, readout="last", seed=seed)
    history = lf.train.fit(
        model,
        x,
        y,
        loss="cross_entropy",
        optimizer=lf.train.Adam(lr=5e-3),
        epochs=epochs,
        batch_size=27,
        clip_norm=1.0,
        seed=seed,
    )
    return model, sum(history.seconds)


def score(model):
    """Accuracy on the test utterances."""
    _, (x_test, y_test) = data()
    return float(np.mean(model.predict(x_test).argmax(axis=1) == y_test))


def run(seed, bidirectional=False, epochs=60):
    """(accuracy on the test utterances, seconds of training)"""
    model, seconds = train(seed, bidirectional, epochs)
    return score(model), seconds


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bidirectional", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=60)
    arguments = parser.parse_args(words)
    accuracies = []
    for seed in arguments.seeds:
        accuracy, seconds = run(seed, arguments.bidirectional, arguments.epochs)
        accuracies.append(accuracy)
        print(f"seed {seed}: accuracy {accuracy:.3f} on 370 utterances after {seconds:.1f} s of training")
    print(f"mean {np.mean(accuracies):.3f}")
    return float(np.mean(accuracies))


if __name__ == "__main__":
    main()
