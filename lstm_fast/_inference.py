"""Network: parameters, layers and directions of some cell, and all that works without gradients."""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from . import _arguments, _core, _layout, _network, _threads, _variants
from ._options import Fixed, Setting, options_of
from ._parameters import Parameterized, ParameterTable, Version
from .streaming import Stream

if TYPE_CHECKING:
    from ._layout import Layout
    from ._tape import Tape, TrainingOptions
    from ._types import Array, DType


class Network(Parameterized):
    """A stack of layers and directions of one cell, for inference. Base of LSTM, RNN, LSTMCell and QuantizedLSTM."""

    _n_gates = 4
    _has_c = True
    _is_cell = False  # one step, without a time axis

    input_size = Fixed[int]("I, numbers of x at each step.", _arguments.positive_integer)
    hidden_size = Fixed[int]("H, number of units.", _arguments.positive_integer)
    num_layers = Fixed[int]("Layers, each reading the outputs of the one before.", _arguments.number_of_layers, 1)
    bias = Fixed[bool]("Whether there are bias_ih and bias_hh.", _arguments.flag, True)
    batch_first = Setting[bool]("Whether sequences are (B, T, n) instead of (T, B, n).", _arguments.flag, False)
    dropout = Setting[float]("Dropout between layers, in training.", _arguments.probability, 0.0)
    bidirectional = Fixed[bool]("Whether a second direction reads from the end.", _arguments.flag, False)
    proj_size = Fixed[int]("P, numbers of h with a projection; 0 for none.", _arguments.unchecked, 0)
    dtype = Fixed[np.dtype[Any]](
        "Type of parameters and results: float32 or float64.", _arguments.floating_dtype, np.dtype(np.float32)
    )
    seed = Fixed[Any]("Seed of the initial parameters and of the masks in training.", _arguments.unchecked)
    recurrent_dropout = Setting[float]("Dropout of h_prev, in training.", _arguments.probability, 0.0)
    zoneout = Setting[Any]("Zoneout of h, in training.", _arguments.probability, 0.0)
    learn_initial_state = Fixed[bool]("Whether the initial state is a parameter.", _arguments.flag, False)

    if TYPE_CHECKING:  # where options keep their values, with the defaults of the class: see Fixed
        _input_size: int
        _hidden_size: int
        _num_layers: int
        _bias: bool
        _batch_first: bool
        _dropout: float
        _bidirectional: bool
        _proj_size: int
        _dtype: DType
        _recurrent_dropout: float
        _zoneout: Any
        _learn_initial_state: bool

    _declared_options: ClassVar[dict[str, Fixed[Any]]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._declared_options = options_of(cls)

    def _set_up(self, **options: Any) -> None:
        """Checks and keeps the options of a constructor, in its order, and draws the initial parameters."""
        declared = self._declared_options
        for name, value in options.items():
            option = declared[name]
            is_default = value is option.default and value is not None
            setattr(self, option.slot, value if is_default else option.check(name, value))
        self._option_names = tuple(options)
        self._check_combination()
        if self.dropout and self.num_layers == 1:
            warnings.warn("dropout acts between layers: with num_layers=1 it does nothing", stacklevel=3)
        try:
            self._rng = np.random.default_rng(self.seed)
        except (TypeError, ValueError) as error:
            raise type(error)(f"seed must be a non-negative integer or None, got {self.seed!r} ({error})") from None
        self._lay_out()
        bound = self.hidden_size**-0.5
        flat = self._rng.uniform(-bound, bound, self._table.size).astype(self.dtype)
        self._initialise(self._table.views(flat))
        self._install(flat)

    def _check_combination(self) -> None:
        """Raises for options that do not fit each other."""

    def _lay_out(self) -> None:
        """Names and places of the parameters, and what else depends on options that are fixed."""
        self._cell = cell = self._cell_options()
        D, suffixes, shapes = self.num_directions, self.parameter_suffixes, {}
        for k, suffix in enumerate(suffixes):
            of_layer = _variants.layer_shapes(
                input_size=self._input_size if k < D else self.output_size,
                hidden_size=self._hidden_size,
                h_size=self.h_size,
                num_gates=self._n_gates,
                has_cell_state=self._has_c,
                bias=self._bias,
                peepholes=cell.get("peepholes", False),
                layer_norm=cell.get("layer_norm", False),
                learn_initial_state=self._learn_initial_state,
            )
            for name, shape in of_layer.items():
                shapes[name + suffix] = shape
        self._table = ParameterTable(shapes)
        # Names of the parameters of each layer and direction in the order of the core, None for absent ones.
        self._names = [
            [name + suffix if name + suffix in shapes else None for name in _core.PARAMETERS] for suffix in suffixes
        ]
        # What a tape must have to be of this network: the same kind of cell and the same sizes.
        self._signature = self._cell_name(), self._dtype, shapes, cell

    def _cell_name(self) -> str:
        """The core's name of the cell."""
        raise NotImplementedError

    def _cell_options(self) -> dict[str, Any]:
        """The core's options of the cell, beside sizes."""
        return {}

    def _initialise(self, parameters: dict[str, Array]) -> None:
        """Changes parameters that do not begin as uniform random numbers."""
        for suffix in self.parameter_suffixes:
            for kind, value in _variants.INITIAL_VALUES.items():
                if kind + suffix in parameters:
                    parameters[kind + suffix][...] = value

    # ---- sizes ----

    @property
    def num_directions(self) -> int:
        """D: 2 if bidirectional, else 1."""
        return 2 if self._bidirectional else 1

    @property
    def num_gates(self) -> int:
        """Blocks of H rows in the weights: 4 for an LSTM (i, f, g, o), 1 for a plain RNN."""
        return self._n_gates

    @property
    def has_cell_state(self) -> bool:
        """Whether the state is a pair (h, c), as that of an LSTM, and not h alone."""
        return self._has_c

    @property
    def has_plain_cell(self) -> bool:
        """Whether the cell has none of the options that change its formulas."""
        return not any(self._cell.values())

    @property
    def h_size(self) -> int:
        """R, the numbers of h: proj_size if there is a projection, else hidden_size."""
        return self._proj_size or self._hidden_size

    @property
    def output_size(self) -> int:
        """D * R, the numbers of the output at each step."""
        return self.num_directions * self.h_size

    @property
    def layout(self) -> Layout:
        """Axes of sequences that have a batch axis."""
        return _layout.BATCH_FIRST if self._batch_first else _layout.STEPS

    # ---- parameters ----

    @property
    def parameter_suffixes(self) -> tuple[str, ...]:
        """Endings of parameter names, one for each layer and direction: "_l0", "_l0_reverse", "_l1", ..."""
        if self._is_cell:
            return ("",)
        reverse = ("", "_reverse")[: self.num_directions]
        return tuple([f"_l{layer}{ending}" for layer in range(self.num_layers) for ending in reverse])

    @property
    def flat_parameters(self) -> Array:
        """All parameters in one contiguous read-only array, in the order of `parameters`."""
        return self._version.flat

    def parameters(self) -> dict[str, Array]:
        """The parameters as they are now, by PyTorch's names.

        Returns
        -------
        dict of str to ndarray
            Read-only arrays, which keep showing this version when the parameters change.
        """
        return dict(self._version.views)

    def _by_direction(self, views: dict[str, Array]) -> list[tuple[Array | None, ...]]:
        """A tuple for each layer and direction in the order of _core.PARAMETERS; None for absent parameters."""
        return [tuple([None if name is None else views[name] for name in names]) for names in self._names]

    def _make_version(self, flat: Array) -> Version:
        views = self._table.views(flat)
        return Version(flat, views, self._pack(self._by_direction(views), flat=flat))

    def _pack(self, arrays: list[tuple[Array | None, ...]], **options: Any) -> _core.Weights:
        return _core.Weights(
            self._cell_name(),
            self._dtype,
            self._input_size,
            self._hidden_size,
            self.num_layers,
            self.num_directions,
            arrays,
            **self._cell,
            **options,
        )

    @property
    def parameter_version(self) -> tuple[object, ...]:
        """Opaque objects that stand for the parameters as they are now: others after each change."""
        return (self._version,)

    def _install(self, flat: Array) -> None:
        """Makes flat the new version of the parameters. Running calls end on the version they began with."""
        self._version = self._make_version(flat)

    # ---- calls ----

    def _infer(self, x: Any, state: Any, lengths: Any, resets: Any, num_threads: int | None) -> tuple[Array, Any]:
        """output and the last state; all arguments as the caller gave them."""
        if resets is None and num_threads is None:
            # Fast path: arrays of the right dtype and shape go to the core at once; for anything else it returns None.
            short = _core.infer(
                self._version.weights, x, state, lengths, self._batch_first, _threads.get_num_threads, self._is_cell
            )
            if short is not None:
                output, h_n, c_n = short
                return output, (h_n, c_n) if self._has_c else h_n
        return self._run(x, state, lengths, resets, num_threads, keep=False)[:2]

    def _run(
        self,
        x: Any,
        state: Any,
        lengths: Any,
        resets: Any,
        num_threads: int | None,
        keep: bool,
        training: tuple[Any, ...] | None = None,
    ) -> tuple[Array, Any, Tape | None]:
        """output, the last state and, with keep, a tape; all arguments as the caller gave them."""
        x, layout = self._read_x(x)
        T, B, _ = x.shape
        h_0, c_0 = self._read_states(layout, state, B, ("h_0", "c_0"))
        if resets is not None:
            resets = layout.read_flags("resets", resets, T, B)
            resets = np.ascontiguousarray(resets, np.uint8) if resets.any() else None
        if lengths is not None:
            lengths = layout.read_lengths(lengths)
        num_threads = _threads.resolve(num_threads)
        options = None if training is None else self._training_options(*training)
        output, h_n, c_n, tape = self._compute(x, h_0, c_0, lengths, resets, layout, num_threads, keep, options)
        output, h_n, c_n = layout.from_core(output, h_n, c_n)
        return output, (h_n, c_n) if self._has_c else h_n, tape

    def _compute(
        self,
        x: Array,
        h_0: Array | None,
        c_0: Array | None,
        lengths: Any,
        resets: Array | None,
        layout: Layout,
        num_threads: int,
        keep: bool,
        options: TrainingOptions | None,
    ) -> tuple[Array, Array, Array | None, Tape | None]:
        """The call on checked arrays in the form of the core; a subclass may change what the core reads and returns."""
        return _network.forward(
            self._version.weights,
            x,
            h_0,
            c_0,
            lengths=lengths,
            resets=resets,
            layout=layout,
            num_threads=num_threads,
            keep=keep,
            options=options,
            signature=self._signature,
        )

    def _training_options(self, *training: Any) -> TrainingOptions | None:
        """What is drawn at random in a training call."""
        raise NotImplementedError

    def _read_x(self, x: Any) -> tuple[Array, Layout]:
        return _layout.read_input(x, self._dtype, self._input_size, self._batch_first)

    def _read_states(
        self, layout: Layout, state: Any, B: int, names: tuple[str, str]
    ) -> tuple[Array | None, Array | None]:
        """(h, c) of an LSTM, (h, None) of a plain RNN; the whole or each part may be None."""
        if state is None:
            return None, None
        n, dtype, H, P = self._num_layers * self.num_directions, self._dtype, self._hidden_size, self._proj_size
        size, letter = (P, "P") if P else (H, "H")
        if not self._has_c:
            return layout.read_state(names[0], state, dtype, n, B, size, letter), None
        if not isinstance(state, (tuple, list)) or len(state) != 2:
            raise TypeError(f"state must be a pair ({names[0]}, {names[1]}), got {type(state).__name__}")
        return (
            layout.read_state(names[0], state[0], dtype, n, B, size, letter),
            layout.read_state(names[1], state[1], dtype, n, B, H, "H"),
        )

    def stream(self, batch_size: int = 1) -> Stream:
        """Live sequences, whose state is kept between calls.

        Parameters
        ----------
        batch_size : int, default 1
            Number of sequences.

        Returns
        -------
        Stream
            At the initial state, with the parameters as they are now.

        Raises
        ------
        ValueError
            If the network is bidirectional: its second direction begins at the end of the sequence.
        """
        return Stream(self, batch_size)

    # ---- objects ----

    def config(self) -> dict[str, Any]:
        """Arguments of the constructor that make a network with the same options.

        Returns
        -------
        dict of str to object
        """
        return {name: getattr(self, name) for name in self._option_names}

    def __repr__(self) -> str:
        sizes = [str(self.input_size), str(self.hidden_size)]
        options = [
            f"{name}={value.name if name == 'dtype' else repr(value)}"
            for name, value in self.config().items()
            if name not in ("input_size", "hidden_size", "seed") and value != self._declared_options[name].default
        ]
        return f"{type(self).__name__}({', '.join([*sizes, *options])})"

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__ | {"_version": self._version.flat.copy()}
        if "_rng" in state:  # for copy.copy: two objects must not draw from one generator
            state["_rng"] = copy.deepcopy(self._rng)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        flat = state.pop("_version")
        self.__dict__.update(state)
        self._install(flat)
