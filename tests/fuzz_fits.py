"""Fuzzing of lf.train.fit: whatever must not affect training does not change a bit of the result.

    python tests/fuzz_fits.py [cases [first seed]] [--seconds S] [--jobs N]

Each case draws a network, data and settings, among them truncate, burn_in, symbols, losses, masks of dropout, lengths,
weights and validation, and compares parameters and losses with those of the same training on another instruction set,
number of threads and split of the work; with symbols as one-hot vectors; with poison in the padding; interrupted and
resumed; as one of the models of a fleet; and its predictions in each format as symbols and as vectors, alone and in a
batch.
"""

import copy
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))
sys.path.append(str(ROOT.parent))

import lstm_fast as lf  # noqa: E402
from format_cases import FORMATS  # noqa: E402
from fuzzing import main  # noqa: E402
from lstm_fast import _core  # noqa: E402
from option_cases import LSTM_OPTIONS, make  # noqa: E402
from tolerances import assert_same_bits  # noqa: E402

NOT_HERE = {"lengths", "resets", "given_h_0", "given_c_0"}
LOSSES = ("mse", "mae", "huber", "cross_entropy", "bce", ("quantile", (0.1, 0.8)))


class Interrupted(Exception):
    """Ends a training after an epoch."""


class Case:
    """The training drawn from a seed."""

    def __init__(self, seed):
        self.seed, self.rng = seed, np.random.default_rng([seed, 13])
        rng = self.rng
        share = rng.choice([0, 0.1, 0.4])
        self.options = {name for name in LSTM_OPTIONS if name not in NOT_HERE and rng.random() < share}
        self.dtype = (np.float32, np.float64)[rng.integers(2)]
        self.I, self.H, self.O = int(rng.integers(1, 20)), int(rng.integers(1, 20)), 2 * int(rng.integers(1, 4))
        self.T, self.N = int(rng.integers(1, 25)), int(rng.integers(2, 14))
        self.has_symbols = bool(rng.random() < 0.4)
        self.readout = str(rng.choice(("last", "mean", "all", "all")))
        self.truncate = int(rng.integers(1, self.T + 3)) if self.readout == "all" and rng.random() < 0.7 else None
        self.burn_in = int(rng.integers(0, self.T)) if self.readout == "all" and rng.random() < 0.4 else 0
        bidirectional = bool(rng.random() < 0.3 and not self.truncate and not self.burn_in)
        self.structure = dict(num_layers=int(rng.integers(1, 3)), bidirectional=bidirectional)
        self.loss = LOSSES[rng.integers(len(LOSSES))]
        self.has_lengths, self.has_weights = (bool(rng.random() < 0.4) for _ in range(2))
        self.settings = dict(batch_size=int(rng.integers(1, 6)), epochs=int(rng.integers(1, 4)), seed=seed)
        self.settings |= dict(lr_schedule="cosine") if rng.random() < 0.3 else {}
        self.settings |= dict(clip_norm=0.1) if rng.random() < 0.3 else {}
        self.isas = [name for name in rng.permutation(_core.available_isas()) if name != "portable"] or ["portable"]
        self.split, self.n_threads = str(rng.choice(list(_core.testing.SPLITS))), int(rng.choice((2, 3, 4, 8)))

    def __repr__(self):
        return (
            f"Case({', '.join(f'{name}={value}' for name, value in vars(self).items() if name not in ('rng', 'data'))})"
        )

    def prepare(self):
        rng, shape = self.rng, (self.N, self.T)
        self.x = rng.integers(self.I, size=shape) if self.has_symbols else rng.standard_normal((*shape, self.I))
        shape = shape if self.readout == "all" else shape[:1]
        if self.loss == "cross_entropy":
            y = rng.integers(self.O, size=shape)
        else:
            y = rng.random((*shape, self.O // 2 if isinstance(self.loss, tuple) else self.O))
        self.data = {"y": y}
        if self.has_lengths:
            self.data["lengths"] = rng.integers(0, self.T + 1, self.N)
            self.data["lengths"][0] = self.T
        if self.has_weights:
            self.data["sample_weight"] = rng.random(self.N) + 0.1

    def model(self, has_symbols=None):
        options = self.options | (
            {"index_input"} if (self.has_symbols if has_symbols is None else has_symbols) else set()
        )
        lstm = make("lstm", self.I, self.H, options, seed=self.seed, dtype=self.dtype, **self.structure)
        network = lf.LSTM(**lstm.config() | {"batch_first": True})
        network.load_flat_parameters(0.3 * lstm.flat_parameters)
        return lf.train.SequenceModel(network, self.O, seed=self.seed, readout=self.readout)

    def fit(self, model, x, n_threads=1, **more):
        try:
            history = lf.train.fit(
                model,
                x,
                **self.data,
                **self.settings,
                loss=self.loss,
                truncate=self.truncate,
                burn_in=self.burn_in,
                num_threads=n_threads,
                **more,
            )
        except lf.train.Diverged as error:
            return str(error)
        return history.loss

    def same(self, got, want, model, what):
        assert got == want, f"losses, {what}: {got} not {want}: {self}"
        assert_same_bits(model.flat_parameters, self.want, f"parameters, {what}: {self}")

    def one_hot(self):
        return np.eye(self.I)[self.x]

    # ---- invariances ---------------------------------------------------------------------------------------------

    def check(self):
        _core.use_isa(self.isas[0])
        model = self.model()
        losses = self.fit(model, self.x)
        self.want = model.flat_parameters.copy()
        if isinstance(losses, str):
            return  # diverged
        _core.use_isa(self.isas[-1])
        _core.testing.use_split(self.split)
        other = self.model()
        self.same(self.fit(other, self.x, self.n_threads), losses, other, f"{self.n_threads} threads")
        if self.has_lengths:
            x = self.x.astype(self.x.dtype, copy=True)
            padding = np.arange(self.T) >= self.data["lengths"][:, None]
            x[padding] = -7 if self.has_symbols else np.nan
            other = self.model()
            self.same(self.fit(other, x), losses, other, "poison in the padding")
        if self.has_symbols:
            vectors = self.model(has_symbols=False)
            assert np.allclose(self.fit(vectors, self.one_hot()), losses, rtol=0, atol=0), f"one-hot: {self}"
            assert np.array_equal(vectors.flat_parameters, self.want), f"one-hot: {self}"
        self.resumed(losses)
        if not (self.has_symbols or self.truncate or self.burn_in):
            self.fleet(losses)
        self.formats(model)

    def resumed(self, losses):
        """Stopped after the first epoch, and resumed in another model."""

        def stop(*_):
            raise Interrupted

        with tempfile.TemporaryDirectory() as folder:
            path, other = Path(folder, "run"), self.model()
            try:
                self.fit(other, self.x, checkpoint=path, callbacks=[stop])
            except Interrupted:
                other = self.model()
                self.same(self.fit(other, self.x, checkpoint=path, resume=True), losses, other, "resumed")

    def fleet(self, losses):
        models = [self.model() for _ in range(int(self.rng.integers(1, 4)))]
        for model in models[1:]:
            model.load_flat_parameters(0.9 * models[0].flat_parameters)
        fleet = lf.train.FleetModel.from_models(copy.deepcopy(models))
        data = {name: np.stack([value] * len(models)) for name, value in self.data.items()}
        histories = lf.train.fit(
            fleet, np.stack([self.x] * len(models)), **data, **self.settings, loss=self.loss, num_threads=self.n_threads
        )
        assert histories[0].loss == losses, f"losses of a fleet: {histories[0].loss} not {losses}: {self}"
        assert_same_bits(fleet.flat_parameters[0], self.want, f"parameters of a fleet: {self}")

    def formats(self, model):
        """Predictions of the trained model and of its formats: a sequence alone, and symbols as vectors."""
        lengths, k = self.data.get("lengths"), int(self.rng.integers(self.N))
        variants = [model]
        if self.dtype == np.float32:
            format, inputs = list(FORMATS.values())[self.rng.integers(len(FORMATS))]
            with suppress(ValueError):  # some options cannot be combined with int8
                variants.append(model.quantized(format, inputs=inputs))
        for one in variants:
            together = one.predict(self.x, lengths, num_threads=self.n_threads)
            alone = one.predict(self.x[k : k + 1], None if lengths is None else lengths[k : k + 1])
            assert_same_bits(alone, together[k : k + 1], f"sequence {k} alone, {one}: {self}")


def same_fits(seed):
    """Everything that is promised not to change a bit of a training."""
    case = Case(seed)
    try:
        case.prepare()
        case.check()
    finally:
        _core.use_isa()
        _core.testing.use_split()


if __name__ == "__main__":
    sys.exit(main(same_fits, cases=10_000))
