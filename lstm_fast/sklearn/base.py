"""What the estimators share: their settings, the network made from them, and how it is trained."""

from dataclasses import replace

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from ..modules import LSTM
from ..train import Adam, FitConfig, SequenceModel, Trainer

SETTINGS = """hidden_size, num_layers, dropout : of the LSTM
    lstm_options : dict of further arguments of lf.LSTM (proj_size, peepholes, layer_norm, recurrent_dropout, zoneout, ...)
    epochs, batch_size, clip_norm, lr_schedule : as in lf.train.fit
    lr, weight_decay : of Adam
    early_stopping : None, or the epochs without a better loss on the validation_fraction after which training stops and the best
        parameters come back
    dtype : "float32" or "float64"
    random_state : None, int or RandomState; an int gives the same bits on any number of threads
    n_jobs : threads; None: lf.get_num_threads()
    verbose : a progress bar (needs tqdm)"""


def keep(estimator, arguments):
    """The arguments of an __init__, given as locals(), as attributes."""
    vars(estimator).update({name: value for name, value in arguments.items() if name not in ("self", "__class__")})


class Estimator(BaseEstimator):
    """Base of the three; each lists its settings in its own __init__, as scikit-learn wants it."""

    def _seed(self):
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def _make_model(self, n_inputs, n_outputs, readout, **network):
        seed = self._seed()
        lstm = LSTM(
            n_inputs,
            self.hidden_size,
            self.num_layers,
            batch_first=True,
            dropout=self.dropout,
            dtype=self.dtype,
            seed=seed,
            **network,
            **(self.lstm_options or {}),
        )
        return SequenceModel(lstm, n_outputs, readout, seed=seed)

    def _train(self, model, x, y, loss, *, lengths=None, weights=None, mask=None, validation=None):
        """Trains model and sets history_. validation: what early_stopping watches; None: validation_fraction of the sequences."""
        if self.early_stopping is not None and validation is None:
            validation = self.validation_fraction
        trainer = Trainer(
            model,
            x,
            y,
            self._config(loss, epochs=self.epochs, early_stopping=self.early_stopping, lr_schedule=self.lr_schedule),
            lengths=lengths,
            sample_weight=weights,
            mask=mask,
            validation=validation,
        )
        self.history_, self._progress = trainer.run(self.verbose), None

    def _config(self, loss, *, step=0, **settings):
        """Settings of a training run. step: of the optimizer, when it continues."""
        return FitConfig(
            loss=loss,
            optimizer=Adam(self.lr, weight_decay=self.weight_decay),
            batch_size=self.batch_size,
            clip_norm=self.clip_norm,
            seed=self._seed() + step,
            num_threads=self.n_jobs,
            **settings,
        )

    def _train_on(self, model, x, y, loss, *, lengths=None, weights=None):
        """One epoch more, the optimiser's moments going on; adds to history_."""
        before = getattr(self, "_progress", None)
        step = 0 if before is None else before.step
        config = self._config(loss, step=step, epochs=1)
        trainer = Trainer(model, x, y, config, lengths=lengths, sample_weight=weights)
        if before is not None:
            trainer.warm_start(before)
        history = trainer.run(self.verbose)
        self._progress = replace(trainer.now, flat=None, best=None, epoch=0)
        if before is None and not hasattr(self, "history_"):
            self.history_ = history
        else:
            for name in ("loss", "gradient_norm", "learning_rate", "seconds"):
                getattr(self.history_, name).extend(getattr(history, name))
