"""Optimisers over one flat array of parameters p with gradients d; each step is one native pass.

SGD      s = d + weight_decay p;  m = momentum m + s;  p -= lr m   (nesterov: p -= lr (s + momentum m); no momentum: lr s)
Adam     g = d + weight_decay p;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
         p -= lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon)
AdamW    Adam with p -= lr weight_decay p in place of the term in g
"""

from numbers import Real

import numpy as np

from .. import _arguments, _core


def _number(name, value, low, high, *, open_low=False):
    if not isinstance(value, Real) or isinstance(value, bool) or not low <= value < high or (open_low and value == low):
        raise ValueError(
            f"{name} must be a number {'over' if open_low else 'from'} {low} and below {high}, got {value!r}"
        )
    return float(value)


class Optimizer:
    """Settings; the moments belong to a run of fit, so that one object can be used again."""

    _settings: tuple[str, ...] = ()
    _n_moments = 0

    def _set(self, lr, weight_decay):
        self.lr = _number("lr", lr, 0, np.inf)
        self.weight_decay = _number("weight_decay", weight_decay, 0, np.inf)

    def config(self):
        return {"name": type(self).__name__, **{name: getattr(self, name) for name in self._settings}}

    def moments(self, parameters):
        """Arrays that steps change beside the parameters."""
        return tuple(np.zeros_like(parameters) for _ in range(self._n_moments))

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self._settings)})"


class SGD(Optimizer):
    """Stochastic gradient descent, as in PyTorch (dampening 0)."""

    _settings = ("lr", "momentum", "nesterov", "weight_decay")

    def __init__(self, lr=0.01, momentum=0.0, nesterov=False, weight_decay=0.0):
        self._set(lr, weight_decay)
        self.momentum = _number("momentum", momentum, 0, 1)
        self.nesterov = _arguments.flag("nesterov", nesterov)
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum over 0")
        self._n_moments = 1 if self.momentum else 0

    def step(self, parameters, gradients, moments, t, lr, scale=1.0):
        """In place, the t-th step (from 1), with this learning rate and gradients times scale."""
        _core.optimize(
            parameters,
            gradients,
            first=moments[0] if moments else None,
            second=None,
            step=t,
            lr=lr,
            beta_1=self.momentum,
            beta_2=0.0,
            epsilon=0.0,
            weight_decay=self.weight_decay,
            scale=scale,
            nesterov=self.nesterov,
            decoupled=False,
        )


class Adam(Optimizer):
    """Kingma and Ba 2015, as in PyTorch."""

    _settings = ("lr", "betas", "epsilon", "weight_decay")
    _n_moments = 2
    _decoupled = False

    def __init__(self, lr=1e-3, betas=(0.9, 0.999), epsilon=1e-8, weight_decay=0.0):
        self._set(lr, weight_decay)
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise ValueError(f"betas must be a pair, got {betas!r}")
        self.betas = tuple(_number("betas", beta, 0, 1) for beta in betas)
        self.epsilon = _number("epsilon", epsilon, 0, np.inf, open_low=True)

    def step(self, parameters, gradients, moments, t, lr, scale=1.0):
        """In place, the t-th step (from 1), with this learning rate and gradients times scale."""
        _core.optimize(
            parameters,
            gradients,
            first=moments[0],
            second=moments[1],
            step=t,
            lr=lr,
            beta_1=self.betas[0],
            beta_2=self.betas[1],
            epsilon=self.epsilon,
            weight_decay=self.weight_decay,
            scale=scale,
            nesterov=False,
            decoupled=self._decoupled,
        )


class AdamW(Adam):
    """Loshchilov and Hutter 2019: weight decay beside the gradient. As in PyTorch."""

    _decoupled = True

    def __init__(self, lr=1e-3, betas=(0.9, 0.999), epsilon=1e-8, weight_decay=0.01):
        super().__init__(lr, betas, epsilon, weight_decay)


OPTIMIZERS = {optimizer.__name__: optimizer for optimizer in (SGD, Adam, AdamW)}
