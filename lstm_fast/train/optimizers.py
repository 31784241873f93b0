"""Optimizers for a flat array of parameters p with gradients d; each step is one native pass.

SGD      s = d + weight_decay p;  m = momentum m + s;  p -= lr m
         (nesterov: p -= lr (s + momentum m); without momentum: p -= lr s)
Adam     g = d + weight_decay p;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
         p -= lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon)
AdamW    Adam with p -= lr weight_decay p in place of the term in g
"""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import _arguments, _core

if TYPE_CHECKING:
    from .._types import Array


def _number(name: str, value: Any, low: float, high: float, *, open_low: bool = False) -> float:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not low <= value < high or (open_low and value == low):
        raise ValueError(
            f"{name} must be a number {'over' if open_low else 'from'} {low} and below {high}, got {value!r}"
        )
    return float(value)


class UpdateRule(NamedTuple):
    """Settings of the core's optimizer that are the same in every step."""

    weight_decay: float
    beta_1: float  # the momentum of SGD
    beta_2: float = 0.0
    epsilon: float = 0.0
    nesterov: bool = False
    decoupled: bool = False  # weight decay as in AdamW


class Optimizer:
    """Base class: settings of an optimizer. The state belongs to a run, so an object can be reused in other runs."""

    _settings: tuple[str, ...] = ()
    _n_moments = 0
    lr: float
    weight_decay: float

    def _set(self, lr: float, weight_decay: float) -> None:
        self.lr = _number("lr", lr, 0, np.inf)
        self.weight_decay = _number("weight_decay", weight_decay, 0, np.inf)

    def config(self) -> dict[str, Any]:
        """Return the name and settings, for checkpoints.

        Returns
        -------
        dict of str to object
            Name of the class as "name", and the constructor arguments.
        """
        return {"name": type(self).__name__, **{name: getattr(self, name) for name in self._settings}}

    def moments(self, parameters: Array) -> tuple[Array, ...]:
        """Create the state of the optimizer.

        Parameters
        ----------
        parameters : ndarray
            Flat parameters.

        Returns
        -------
        tuple of ndarray
            Moments, initially zero.
        """
        return tuple([np.zeros_like(parameters) for _ in range(self._n_moments)])

    def step(
        self, parameters: Array, gradients: Array, moments: tuple[Array, ...], t: int, lr: float, scale: float = 1.0
    ) -> None:
        """Perform one step, in place.

        Parameters
        ----------
        parameters, gradients : ndarray
            Flat arrays of one dtype.
        moments : tuple of ndarray
            State from `moments`.
        t : int
            Step number, from 1.
        lr : float
            Learning rate of this step.
        scale : float, default 1.0
            Factor applied to the gradients.
        """
        first, second = (*moments, None, None)[:2]
        _core.optimize(self._rule(), parameters, gradients, first, second, step=t, lr=lr, scale=scale)

    def step_rows(
        self, parameters: Array, gradients: Array, moments: tuple[Array, ...], t: Array, lr: Array, scale: Array
    ) -> None:
        """Perform one step for each row, in place, as `step` would.

        Parameters
        ----------
        parameters, gradients : ndarray of shape (K, P)
            Rows of flat arrays, of one dtype.
        moments : tuple of ndarray of shape (K, P)
            State from `moments`.
        t : ndarray of int64 of shape (K,)
            Step number of each row, from 1.
        lr, scale : ndarray of float64 of shape (K,)
            Learning rate and factor of the gradients of each row.
        """
        first, second = (*moments, None, None)[:2]
        _core.optimize_rows(self._rule(), parameters, gradients, first, second, step=t, lr=lr, scale=scale)

    def _rule(self) -> UpdateRule:
        """Return the settings of the core that are the same in every step."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self._settings)})"


class SGD(Optimizer):
    """Stochastic gradient descent, as in PyTorch (dampening 0).

    Parameters
    ----------
    lr : float, default 0.01
        Learning rate.
    momentum : float, default 0.0
        Momentum factor, from 0 to below 1.
    nesterov : bool, default False
        Whether to use Nesterov momentum.
    weight_decay : float, default 0.0
        L2 penalty, added to the gradients.

    Examples
    --------
    >>> from lstm_fast.train import SGD
    >>> SGD(lr=0.1, momentum=0.9)
    SGD(lr=0.1, momentum=0.9, nesterov=False, weight_decay=0.0)
    """

    _settings = ("lr", "momentum", "nesterov", "weight_decay")

    def __init__(
        self, lr: float = 0.01, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
    ) -> None:
        self._set(lr, weight_decay)
        self.momentum = _number("momentum", momentum, 0, 1)
        self.nesterov = _arguments.flag("nesterov", nesterov)
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov=True requires momentum > 0")
        self._n_moments = 1 if self.momentum else 0

    def _rule(self) -> UpdateRule:
        return UpdateRule(self.weight_decay, beta_1=self.momentum, nesterov=self.nesterov)


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), as in PyTorch.

    Parameters
    ----------
    lr : float, default 1e-3
        Learning rate.
    betas : (float, float), default (0.9, 0.999)
        Decay rates of the moving averages of the gradient and its square.
    epsilon : float, default 1e-8
        Added to the denominator.
    weight_decay : float, default 0.0
        L2 penalty, added to the gradients.

    Examples
    --------
    >>> from lstm_fast.train import Adam
    >>> Adam(lr=1e-2)
    Adam(lr=0.01, betas=(0.9, 0.999), epsilon=1e-08, weight_decay=0.0)
    """

    _settings = ("lr", "betas", "epsilon", "weight_decay")
    _n_moments = 2
    _decoupled = False

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self._set(lr, weight_decay)
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise ValueError(f"betas must be a pair, got {betas!r}")
        self.betas = _number("betas", betas[0], 0, 1), _number("betas", betas[1], 0, 1)
        self.epsilon = _number("epsilon", epsilon, 0, np.inf, open_low=True)

    def _rule(self) -> UpdateRule:
        return UpdateRule(self.weight_decay, *self.betas, self.epsilon, decoupled=self._decoupled)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019), as in PyTorch.

    Parameters
    ----------
    lr : float, default 1e-3
        Learning rate.
    betas : (float, float), default (0.9, 0.999)
        Decay of the averages of the gradient and of its square.
    epsilon : float, default 1e-8
        Added to the denominator.
    weight_decay : float, default 0.01
        Weight decay, multiplied by the learning rate.

    Examples
    --------
    >>> from lstm_fast.train import AdamW
    >>> AdamW(weight_decay=0.1).weight_decay
    0.1
    """

    _decoupled = True

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(lr, betas, epsilon, weight_decay)


OPTIMIZERS = {optimizer.__name__: optimizer for optimizer in (SGD, Adam, AdamW)}
