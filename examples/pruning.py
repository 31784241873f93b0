"""Hyperparameter search with Optuna, which prunes trials that are worse than others after the same number of epochs.

    pip install "lstm_fast[optuna]"
    python examples/pruning.py [--trials 40] [--epochs 100] [--seeds 0 1 2] [--quick]

The task is that of sunspots.py, sunspot numbers one year ahead. Trials train on the years up to 1880 and are validated
on 1881 to 1920; the best is refitted up to 1920 and scored on 1921 to 2008, which influenced no choice. The gain is
time: pruning saves about 40 % of the epochs. 40 years are too few to find better settings than those of sunspots.py.
"""

import argparse

import numpy as np
import optuna

import lstm_fast as lf
import sunspots

N_VALIDATION = 40  # years, 1881 to 1920


def train(trial, epochs, seed, callbacks, n_held_out):
    """(model, history) with the settings of a trial; the last windows are held out."""
    (x, y), _ = sunspots.data()
    x, y = (x[:, :, None] - y.mean()) / y.std(), (y - y.mean()) / y.std()
    cut = len(x) - n_held_out
    lstm = lf.LSTM(1, trial.suggest_int("hidden_size", 4, 32, log=True), batch_first=True, seed=seed)
    model = lf.train.SequenceModel(lstm, 1, seed=seed)
    history = lf.train.fit(
        model,
        x[:cut],
        y[:cut],
        optimizer=lf.train.Adam(lr=trial.suggest_float("lr", 1e-3, 1e-1, log=True)),
        batch_size=len(x),
        validation=(x[cut:], y[cut:]) if n_held_out else None,
        epochs=epochs,
        clip_norm=1.0,
        seed=seed,
        callbacks=callbacks,
    )
    return model, history


def search(n_trials, epochs, seed):
    """A study of this many trials; its attribute `epochs` is the total number of epochs trained."""

    def objective(trial):
        _, history = train(trial, epochs, seed, [lf.train.OptunaPruning(trial)], N_VALIDATION)
        trial.set_user_attr("epochs", 1 + history.best_epoch)
        return min(history.validation_loss)

    pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=epochs // 10)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), pruner=pruner)
    study.optimize(objective, n_trials=n_trials)
    return study, sum(len(trial.intermediate_values) for trial in study.trials)


def run(seed, n_trials=40, epochs=100):
    """(RMSE in sunspot numbers on 1921-2008, fraction of all epochs that were trained, the study)"""
    study, n_epochs = search(n_trials, epochs, seed)
    best = study.best_trial
    model, _ = train(best, best.user_attrs["epochs"], seed, [], 0)
    return sunspots.score(model), n_epochs / (n_trials * epochs), study


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--quick", action="store_true", help="12 trials of 20 epochs, one seed")
    arguments = parser.parse_args(words)
    if arguments.quick:
        arguments.trials, arguments.epochs, arguments.seeds = 12, 20, [0]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    errors = []
    for seed in arguments.seeds:
        error, share, study = run(seed, arguments.trials, arguments.epochs)
        pruned = sum(trial.state.name == "PRUNED" for trial in study.trials)
        print(
            f"seed {seed}: {pruned} of {arguments.trials} trials pruned, {share:.0%} of the epochs trained; best "
            f"{study.best_params}: RMSE {error:.2f} on 1921-2008"
        )
        errors.append(error)
    print(f"worst {max(errors):.2f}, mean {np.mean(errors):.2f}")
    return max(errors)


if __name__ == "__main__":
    main()
