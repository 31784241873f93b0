"""Fleet: K LSTMs of one shape that run in one call."""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterable, Iterator
from os import PathLike
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from . import _arguments, _core, _threads
from . import _fleet_files as files
from ._architecture import check_type
from ._fleet_calls import draw_options, weights_of
from ._fleet_layout import FleetTable, read_input
from ._fleet_member import FleetMember
from ._fleet_tape import Arguments, FleetTape
from ._parameters import EditableParameterized, Gradients, Version, changed_meanwhile
from ._tape import TapeMemory
from .fleet_stream import FleetStream
from .modules import LSTM

if TYPE_CHECKING:
    from ._fleet_layout import FleetLayout
    from ._types import Array, ArrayLike, State, StateLike

OF_EACH_MODEL = ("seed", "forget_bias")  # options in which the models may differ: of initial parameters and masks


class Option:
    """An option that the models have in common, read-only."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.__doc__ = f"The {name} of every model."

    def __get__(self, owner: Any, cls: type) -> Any:
        return self if owner is None else getattr(owner._lstm, self.name)

    def __set__(self, owner: Any, value: Any) -> None:
        raise AttributeError(f"{self.name} is fixed at construction: create a new Fleet of LSTMs with another one")


class Fleet(EditableParameterized):
    """K LSTMs of one shape, each with parameters and data of its own, that run in one call.

    Calls are those of `LSTM` with an axis K before all others: x has shape (K, T, B, input_size), states have (K,
    num_layers * D, B, H), parameters and gradients (K, ...). Threads share the models. Each model has the bits that it
    has alone.

    Parameters
    ----------
    models : iterable of LSTM
        At least one; all of the same sizes, options and dtype (seed and forget_bias may differ). The fleet copies their
        parameters and the state of their generators.

    Raises
    ------
    TypeError
        If a model is no LSTM.
    ValueError
        If there is no model, or one differs from the first; the message names the model and the option. Or with
        index_input.

    See Also
    --------
    LSTM : One model, and what the options mean.
    lstm_fast.train.FleetModel : A fleet with a linear head for each model, for `lstm_fast.train.fit`.

    Notes
    -----
    All parameters are in one buffer (K, P). ``fleet[k]`` is an LSTM that reads and writes row k of it: the fleet has
    what is written in ``with fleet[k].edit() as p: ...``, and the models what is written in ``with fleet.edit() as p``.
    To get an LSTM of its own, copy it: ``copy.copy(fleet[k])``. A slice is a new fleet of copies.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> fleet = lf.Fleet([lf.LSTM(3, 16, seed=k) for k in range(100)])
    >>> x = np.random.default_rng(0).standard_normal((100, 28, 8, 3), np.float32)
    >>> output, (h_n, c_n), tape = fleet.forward(x)
    >>> output.shape, h_n.shape
    ((100, 28, 8, 16), (100, 1, 8, 16))
    >>> gradients = fleet.backward(tape, np.ones_like(output))
    >>> gradients["weight_hh_l0"].shape
    (100, 64, 16)
    >>> bool((output[7] == fleet[7](x[7])[0]).all())
    True
    """

    input_size, hidden_size, num_layers, bias, batch_first = Option(), Option(), Option(), Option(), Option()
    dropout, bidirectional, proj_size, dtype, compute_dtype = Option(), Option(), Option(), Option(), Option()
    peepholes, layer_norm, coupled_gates, cell_clip, gate_clip = Option(), Option(), Option(), Option(), Option()
    activation, recurrent_activation, cell_activation = Option(), Option(), Option()
    recurrent_dropout, zoneout, learn_initial_state = Option(), Option(), Option()
    num_directions, h_size, output_size = Option(), Option(), Option()

    def __init__(self, models: Iterable[LSTM]) -> None:
        if not isinstance(models, Iterable):
            raise TypeError(f"models must be a sequence of LSTMs, got {type(models).__name__}")
        models = list(models)
        if not models:
            raise ValueError("models must hold at least one LSTM, got none")
        for k, model in enumerate(models):
            check_type(f"models[{k}]", model, (LSTM,))
            _check_same(k, model, models[0])
        if models[0].index_input:
            raise ValueError("models must not have index_input: a Fleet reads vectors, such as one-hot ones")
        self._seeds = [model.seed for model in models]
        self._forget_biases = [model.forget_bias for model in models]
        self._set_up(models[0], [copy.deepcopy(model._rng) for model in models])
        self._install(np.stack([model.flat_parameters for model in models]))

    def _set_up(self, lstm: LSTM, rngs: list[np.random.Generator]) -> None:
        self._lstm = copy.copy(lstm)  # options, table and core of every model
        self._rngs, self._dtype = rngs, lstm.dtype
        self._table = FleetTable(lstm._table, len(rngs))

    # ---- models ----

    def __len__(self) -> int:
        return len(self._rngs)

    def __iter__(self) -> Iterator[LSTM]:
        return (FleetMember.of(self, k) for k in range(len(self)))

    @overload
    def __getitem__(self, k: int) -> LSTM: ...
    @overload
    def __getitem__(self, k: slice) -> Fleet: ...
    def __getitem__(self, k: int | slice) -> LSTM | Fleet:
        if isinstance(k, slice):
            return Fleet([FleetMember.of(self, one) for one in range(len(self))[k]])
        return FleetMember.of(self, range(len(self))[k])

    def __setitem__(self, k: int, model: LSTM) -> None:
        k = range(len(self))[operator.index(k)]
        self.check_fits(k, model)
        self[k].load_flat_parameters(model.flat_parameters)
        self._rngs[k], self._seeds[k] = copy.deepcopy(model._rng), model.seed
        self._forget_biases[k] = model.forget_bias

    def check_fits(self, k: int, model: LSTM) -> None:
        """Raise unless an LSTM can become a model of this fleet.

        Parameters
        ----------
        k : int
            Number of the model that it would replace, for the message.
        model : LSTM
            The new model.

        Raises
        ------
        TypeError, ValueError
            If it is no LSTM, or has other options than the fleet.
        """
        check_type("model", model, (LSTM,))
        _check_same(k, model, self._lstm)

    # ---- parameters ----

    @property
    def flat_parameters(self) -> Array:
        """All parameters in one read-only array (K, P): row k is the `flat_parameters` of model k."""
        return self._version.flat

    def parameters(self) -> dict[str, Array]:
        """Return the current parameters, stacked, under PyTorch's names.

        Returns
        -------
        dict of str to ndarray
            Read-only arrays of shape (K, ...). They keep their values when the parameters are changed later.
        """
        return dict(self._version.views)

    @property
    def parameter_version(self) -> tuple[object, ...]:
        """Opaque objects that identify the current parameters: other objects after each change."""
        return (self._version,)

    def _make_version(self, flat: Array) -> Version[_core.FleetWeights]:
        return Version(flat, self._table.views(flat), weights_of(self._lstm, flat))

    def _install(self, flat: Array, expected_version: tuple[object, ...] | None = None) -> None:
        version = self._make_version(flat)
        if expected_version is not None and self._version is not expected_version[0]:
            raise changed_meanwhile()
        self._version: Version[_core.FleetWeights] = version

    # ---- calls ----

    def __call__(
        self,
        x: ArrayLike,
        state: StateLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: ArrayLike | None = None,
        num_threads: int | None = None,
    ) -> tuple[Array, State]:
        """Run all models for inference: without dropout and zoneout, keeping nothing for `backward`.

        Parameters
        ----------
        x : array_like of shape (K, T, B, input_size)
            (K, B, T, input_size) with batch_first, (K, T, input_size) for one sequence each without batch axis.
            ``np.broadcast_to`` gives all models the same x without a copy.
        state : (h_0, c_0), optional
            Initial state, each of shape (K, num_layers * D, B, H), or (K, num_layers * D, H) without batch axis.
        lengths : array_like of int of shape (K, B), optional
            Length of each sequence.
        resets : array_like of bool of shape (K, T, B), optional
            True at the first step of a new episode; axes are those of x.
        num_threads : int, optional
            Maximum number of threads, which share the models; None: `get_num_threads()`.

        Returns
        -------
        output : ndarray of shape (K, T, B, D * R)
            h of the last layer at every step, with the axes of x.
        state : (h_n, c_n)
            Last state, in the shapes of the initial state.

        Raises
        ------
        ValueError, TypeError
            If a shape or dtype is wrong; the message names the argument.
        """
        return self._run(x, state, lengths, resets, num_threads)[:2]

    def forward(
        self,
        x: ArrayLike,
        state: StateLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: ArrayLike | None = None,
        training: bool = True,
        recompute_gates: bool = False,
        num_threads: int | None = None,
    ) -> tuple[Array, State, FleetTape]:
        """Run all models for training: returns a tape for `backward` as well.

        Parameters
        ----------
        x : array_like of shape (K, T, B, input_size)
            As in a plain call. Do not modify it before `backward`: the tape references it.
        state : (h_0, c_0), optional
            As in a plain call.
        lengths : array_like of int of shape (K, B), optional
            As in a plain call.
        resets : array_like of bool of shape (K, T, B), optional
            As in a plain call.
        training : bool, default True
            Whether dropout, recurrent_dropout and zoneout are on. Each model draws its masks from its own generator.
        recompute_gates : bool, default False
            As in `LSTM.forward`.
        num_threads : int, optional
            As in a plain call.

        Returns
        -------
        output : ndarray of shape (K, T, B, D * R)
            As of a plain call.
        state : (h_n, c_n)
            As of a plain call.
        tape : FleetTape
            Input of `backward`.

        Raises
        ------
        ValueError, TypeError
            If a shape or dtype is wrong; the message names the argument.
        """
        flags = _arguments.flag("training", training), _arguments.flag("recompute_gates", recompute_gates)
        output, last, tape = self._run(x, state, lengths, resets, num_threads, flags)
        assert tape is not None
        return output, last, tape

    def _run(
        self,
        x: Any,
        state: Any,
        lengths: Any,
        resets: Any,
        num_threads: int | None,
        training: tuple[bool, bool] | None = None,
    ) -> tuple[Array, State, FleetTape | None]:
        """Return output, last state and, with training = (training, recompute_gates), a tape."""
        lstm, version = self._lstm, self._version
        x, layout = read_input(x, self._dtype, lstm.input_size, lstm.batch_first, len(self))
        T, B = x.shape[1:3]
        h_0, c_0 = self._read_states(layout, state, B, ("h_0", "c_0"))
        order = None if lengths is None else layout.read_lengths(lengths, T, B)
        resets = None if resets is None else layout.read_resets(resets, T, B)
        num_threads = _threads.resolve(num_threads)
        options, seeds = None, None
        if training is not None:
            options, seeds = draw_options(lstm, *training, self._rngs)
        output = layout.empty_steps(T, B, lstm.output_size, self._dtype)
        shape = len(self), lstm.num_layers * lstm.num_directions, B
        h_n, c_n = (np.empty((*shape, size), self._dtype) for size in (lstm.h_size, lstm.hidden_size))
        arguments = Arguments(x, h_0, c_0 is not None, options, order, resets, seeds)
        memory = None if training is None else TapeMemory(version.weights.tape_bytes(T, B, options))
        block = None if memory is None else memory.block
        version.weights.forward(x, h_0, c_0, output, h_n, c_n, block, num_threads, **arguments.options())
        tape = None
        if memory is not None:
            arguments = arguments._replace(h_0=None if h_0 is None else h_0.copy())
            tape = FleetTape(version.weights, memory, layout, arguments, (lstm._signature, len(self)))
        return layout.from_steps(output), (layout.from_states(h_n), layout.from_states(c_n)), tape

    def _read_states(
        self, layout: FleetLayout, state: Any, B: int, names: tuple[str, str]
    ) -> tuple[Array | None, Array | None]:
        if state is None:
            return None, None
        if not isinstance(state, (tuple, list)) or len(state) != 2:
            raise TypeError(f"state must be a pair ({names[0]}, {names[1]}), got {type(state).__name__}")
        n, lstm = self._lstm.num_layers * self._lstm.num_directions, self._lstm
        return (
            layout.read_state(names[0], state[0], self._dtype, n, B, lstm.h_size),
            layout.read_state(names[1], state[1], self._dtype, n, B, lstm.hidden_size),
        )

    def backward(
        self,
        tape: FleetTape,
        d_output: ArrayLike | None,
        d_state: StateLike | None = None,
        *,
        compute_d_x: bool | None = True,
        record_norms: bool = False,
        num_threads: int | None = None,
    ) -> Gradients:
        """Backpropagate through time, in all models.

        Parameters
        ----------
        tape : FleetTape
            From `forward`. It can be used again.
        d_output : array_like of the shape of output, or None
            Gradient of each model's loss with respect to its output; None: zero.
        d_state : (d_h_n, d_c_n), optional
            Gradients with respect to the last state; None, for both or one of them: zero.
        compute_d_x : bool, default True
            Whether to compute d_x.
        record_norms : bool, default False
            Whether to record d_h_norms and d_c_norms, as in `LSTM.backward`: (K, num_layers, D, T, B).
        num_threads : int, optional
            Maximum number of threads, which share the models; None: `get_num_threads()`.

        Returns
        -------
        Gradients
            Mapping from parameter names to arrays (K, ...), views of `flat` (K, P); d_x, d_h_0 and d_c_0 are
            attributes.

        Raises
        ------
        TypeError
            If the tape is from another fleet.
        ValueError
            If a shape is wrong; the message names the argument.
        """
        lstm = self._lstm
        if not isinstance(tape, FleetTape) or tape._signature != (lstm._signature, len(self)):
            other = " of another" if isinstance(tape, FleetTape) else ""
            raise TypeError(f"tape must come from forward of this fleet, got {type(tape).__name__}{other}")
        layout, T, B, a = tape._layout, tape.steps, tape.batch_size, tape._arguments
        d_h_n, d_c_n = self._read_states(layout, d_state, B, ("d_h_n", "d_c_n"))
        if d_output is not None:
            d_output = layout.read_sequence("d_output", d_output, self._dtype, T, B, lstm.output_size)
        compute_d_x, record_norms = (
            compute_d_x is None or _arguments.flag("compute_d_x", compute_d_x),
            _arguments.flag("record_norms", record_norms),
        )
        num_threads = _threads.resolve(num_threads)
        K, D, n = len(self), lstm.num_directions, lstm.num_layers * lstm.num_directions
        norms = [np.zeros((K, n, T, B)) if record_norms else None for _ in range(2)]
        flat = np.empty((K, self._table.size), self._dtype)
        d_x = layout.empty_steps(T, B, lstm.input_size, self._dtype) if compute_d_x else None
        d_h_0, d_c_0 = (np.empty((K, n, B, size), self._dtype) for size in (lstm.h_size, lstm.hidden_size))
        tape._weights.backward(
            tape._memory.block,
            a.x,
            a.h_0,
            d_c_0 if a.has_c_0 else None,  # only its presence matters
            d_output,
            d_h_n,
            d_c_n,
            d_x,
            d_h_0,
            d_c_0,
            flat,
            num_threads,
            d_h_norms=norms[0],
            d_c_norms=norms[1],
            **a.options(),
        )
        from_states = layout.from_states
        gradients = Gradients(layout.from_steps(d_x), from_states(d_h_0), from_states(d_c_0), flat, self._table)
        if record_norms:
            shape = K, lstm.num_layers, D, T, B
            gradients.d_h_norms, gradients.d_c_norms = (one.reshape(shape) for one in norms if one is not None)
        return gradients

    def stream(self, batch_size: int = 1) -> FleetStream:
        """Create a stream: live sequences of every model, whose states are kept between calls.

        Parameters
        ----------
        batch_size : int, default 1
            Number of sequences of each model.

        Returns
        -------
        FleetStream
            In the initial state, with the current parameters.

        Raises
        ------
        ValueError
            If the models are bidirectional.
        """
        return FleetStream(self, batch_size)

    # ---- objects ----

    def save(self, path: str | PathLike[str]) -> None:
        """Write all models to a safetensors file, atomically.

        Parameters
        ----------
        path : path
            File to write: parameters (K, ...) under PyTorch's names, the options in the metadata.
        """
        files.save(self._lstm, self.state_dict(), path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Fleet:
        """Read the file of a fleet.

        Parameters
        ----------
        path : path
            A file that `save` wrote.

        Returns
        -------
        Fleet
            With the same options and parameters.

        Raises
        ------
        FormatError
            If the file is damaged, or was not written by `save`.

        Examples
        --------
        >>> import lstm_fast as lf
        >>> lf.Fleet([lf.LSTM(3, 8, seed=k) for k in range(10)]).save("fleet.safetensors")
        >>> lf.Fleet.load("fleet.safetensors")
        Fleet of 10 LSTM(3, 8)
        """
        lstm, arrays = files.load(path)
        fleet = cls([lstm] * len(next(iter(arrays.values()))))
        fleet.load_state_dict(arrays)
        fleet.draw_new_masks()
        return fleet

    def draw_new_masks(self) -> None:
        """Give each model a new generator of masks, as a new LSTM without a seed has."""
        self._rngs = [np.random.default_rng() for _ in self._rngs]

    def config(self) -> dict[str, Any]:
        """Return the options that the models have in common.

        Returns
        -------
        dict of str to object
            Names and values, in the order of the constructor of `LSTM`.
        """
        return {name: value for name, value in self._lstm.config().items() if name not in OF_EACH_MODEL}

    def __getstate__(self) -> dict[str, Any]:
        return (
            self.__dict__
            | {"_version": np.array(self._version.flat), "_rngs": copy.deepcopy(self._rngs)}
            | {name: list(getattr(self, name)) for name in ("_seeds", "_forget_biases")}
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        flat = state.pop("_version")
        self.__dict__.update(state)
        self._install(flat)

    def __repr__(self) -> str:
        return f"Fleet of {len(self)} {self._lstm!r}"


def _check_same(k: int, model: LSTM, first: LSTM) -> None:
    """Raise a ValueError unless a model has the options of the first."""
    own, expected = model.config(), first.config()
    for name, value in expected.items():
        if name not in OF_EACH_MODEL and own.get(name) != value:
            raise ValueError(
                f"models must have one shape: {name} of models[{k}] must be {value!r}, as of models[0], got "
                f"{own.get(name)!r}"
            )
