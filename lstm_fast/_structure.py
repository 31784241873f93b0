"""Structure: base class of recurrent networks, with options, sizes and parameters."""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from . import _arguments, _core, _layout, _variants
from ._options import PARTS, Fixed, Setting, options_of
from ._parameter_arrays import ParameterTable, Version
from ._parameters import Parameterized, changed_meanwhile

if TYPE_CHECKING:
    from ._layout import Layout
    from ._types import Array, DType


class Structure(Parameterized):
    """A stack of layers and directions of one cell: its options, sizes and parameters."""

    _n_gates = 4
    _has_c = True
    _is_cell = False  # one step, without a time axis

    input_size = Fixed("Number of input features, I.", _arguments.positive_integer, supported_by=PARTS)
    hidden_size = Fixed("Number of units, H.", _arguments.positive_integer, supported_by=PARTS)
    num_layers = Fixed("Number of layers, L.", _arguments.number_of_layers, 1, supported_by=PARTS)
    bias = Fixed("Whether the cell has biases.", _arguments.flag, True, supported_by=PARTS)
    batch_first = Setting(
        "Whether sequences are (B, T, n) instead of (T, B, n).", _arguments.flag, False, supported_by=PARTS
    )
    dropout = Setting("Dropout between layers, in training.", _arguments.probability, 0.0, supported_by=PARTS)
    bidirectional = Fixed(
        "Whether a second direction processes sequences in reverse.", _arguments.flag, False, supported_by=PARTS
    )
    proj_size = Fixed(
        "Size of the projection of h, P; 0 for none.", _arguments.unchecked, 0, supported_by=("formats", "page")
    )
    dtype = Fixed(
        "Type of parameters and results: float32 or float64.",
        _arguments.floating_dtype,
        np.dtype(np.float32),
        supported_by=PARTS,
    )
    seed = Fixed("Seed of the initial parameters and of the dropout masks.", _arguments.unchecked, supported_by=PARTS)
    recurrent_dropout = Setting("Dropout of h_prev, in training.", _arguments.probability, 0.0, supported_by=PARTS)
    zoneout: Setting[Any] = Setting(
        "Zoneout of h, in training.", _arguments.probability, 0.0, supported_by=("formats", "onnx", "page")
    )
    index_input = Fixed(
        "Whether x are symbols, integers instead of vectors.",
        _arguments.flag,
        False,
        supported_by=("formats", "onnx"),
    )
    learn_initial_state = Fixed(
        "Whether the initial state is a parameter.",
        _arguments.flag,
        False,
        supported_by=("formats", "onnx", "page"),
    )

    if TYPE_CHECKING:  # values of the options, see Fixed
        _input_size: int
        _hidden_size: int
        _num_layers: int
        _bias: bool
        _batch_first: bool
        _dropout: float
        _bidirectional: bool
        _proj_size: int
        _dtype: DType
        _seed: Any
        _recurrent_dropout: float
        _zoneout: Any
        _index_input: bool
        _learn_initial_state: bool

    _declared_options: ClassVar[dict[str, Fixed[Any]]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._declared_options = options_of(cls)

    def _set_up(self, **options: Any) -> None:
        """Validate and store the options of a constructor, in its order; draw the initial parameters."""
        declared = self._declared_options
        for name, value in options.items():
            option = declared[name]
            is_default = value is option.default and value is not None
            setattr(self, option.slot, value if is_default else option.check(name, value))
        self._option_names = tuple(options)
        self._check_combination()
        if self._dropout and self._num_layers == 1:
            warnings.warn("dropout acts between layers: with num_layers=1 it has no effect", stacklevel=3)
        self._rng = _arguments.seeded(np.random.default_rng, self._seed)
        self._lay_out()
        bound = self._hidden_size**-0.5
        flat = self._rng.uniform(-bound, bound, self._table.size).astype(self._dtype)
        self._initialize(self._table.views(flat))
        self._install(flat)

    def _check_combination(self) -> None:
        """Validate options that depend on each other."""

    def _lay_out(self) -> None:
        """Derive from the options the layout of the parameters, and what else is fixed."""
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
        # Parameter names of each layer and direction in the order of the core; None for absent parameters.
        self._names = [
            [name + suffix if name + suffix in shapes else None for name in _core.PARAMETERS] for suffix in suffixes
        ]
        # A tape belongs to networks of the same cell and the same sizes.
        self._signature: tuple[Any, ...] = self._cell_name(), self._dtype, self._index_input, shapes, cell

    def _cell_name(self) -> str:
        """Return the core's name of the cell."""
        raise NotImplementedError

    def _cell_options(self) -> dict[str, Any]:
        """Return the core's options of the cell, except sizes."""
        options = self._declared_options.items()
        return {name: one.to_core(name, getattr(self, one.slot)) for name, one in options if one.to_core is not None}

    def _initialize(self, parameters: dict[str, Array]) -> None:
        """Overwrite parameters whose initial values are not uniform random numbers."""
        for suffix in self.parameter_suffixes:
            for kind, value in _variants.INITIAL_VALUES.items():
                if kind + suffix in parameters:
                    parameters[kind + suffix][...] = value

    # ---- sizes ----

    @property
    def num_directions(self) -> int:
        """Number of directions, D: 2 if bidirectional, else 1."""
        return 2 if self._bidirectional else 1

    @property
    def num_gates(self) -> int:
        """Number of gates: 4 for an LSTM (i, f, g, o), 1 for a plain RNN."""
        return self._n_gates

    @property
    def has_cell_state(self) -> bool:
        """Whether the state is a pair (h, c), as in an LSTM, or only h."""
        return self._has_c

    @property
    def has_plain_cell(self) -> bool:
        """Whether no option changes the formulas of the cell."""
        return not any(self._cell.values())

    @property
    def h_size(self) -> int:
        """Size of h, R: proj_size with a projection, else hidden_size."""
        return self._proj_size or self._hidden_size

    @property
    def output_size(self) -> int:
        """Number of output features, D * R."""
        return self.num_directions * self.h_size

    @property
    def layout(self) -> Layout:
        """Axis layout of batches."""
        return _layout.layout_of(False, self._batch_first)

    # ---- parameters ----

    @property
    def parameter_suffixes(self) -> tuple[str, ...]:
        """Suffixes of parameter names, one per layer and direction: "_l0", "_l0_reverse", "_l1", ..."""
        if self._is_cell:
            return ("",)
        reverse = ("", "_reverse")[: self.num_directions]
        return tuple([f"_l{layer}{ending}" for layer in range(self._num_layers) for ending in reverse])

    @property
    def flat_parameters(self) -> Array:
        """All parameters in one contiguous read-only array, in the order of `parameters`."""
        return self._version.flat

    def parameters(self) -> dict[str, Array]:
        """Return the current parameters, under PyTorch's names.

        Returns
        -------
        dict of str to ndarray
            Read-only arrays. They keep their values when the parameters are changed later.
        """
        return dict(self._version.views)

    def _by_direction(self, views: dict[str, Array]) -> list[tuple[Array | None, ...]]:
        """Return a tuple per layer and direction, in the order of _core.PARAMETERS; None for absent parameters."""
        return [tuple([None if name is None else views[name] for name in names]) for names in self._names]

    def _make_version(self, flat: Array) -> Version[_core.Weights]:
        views = self._table.views(flat)
        return Version(flat, views, self._pack(self._by_direction(views), flat=flat))

    def _pack(self, arrays: list[tuple[Array | None, ...]], **options: Any) -> _core.Weights:
        return _core.Weights(
            self._cell_name(),
            self._dtype,
            self._input_size,
            self._hidden_size,
            self._num_layers,
            self.num_directions,
            arrays,
            index_input=self._index_input,
            **self._cell,
            **options,
        )

    @property
    def parameter_version(self) -> tuple[object, ...]:
        """Opaque objects that identify the current parameters: other objects after each change."""
        return (self._version,)

    def _install(self, flat: Array, expected_version: tuple[object, ...] | None = None) -> None:
        """Make flat the new version of the parameters. Calls in progress finish with the old one."""
        version = self._make_version(flat)
        # Packing releases the GIL; nothing between this comparison and the assignment does.
        if expected_version is not None and self._version is not expected_version[0]:
            raise changed_meanwhile()
        self._version: Version[_core.Weights] = version

    def _at(self, version: Version[_core.Weights]) -> Any:
        """See at_version."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, _version=version)
        return other

    # ---- objects ----

    def config(self) -> dict[str, Any]:
        """Return the constructor arguments of a network with the same options.

        Returns
        -------
        dict of str to object
            Names and values, in the order of the constructor.
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


def at_version(network: Structure, version: Version[_core.Weights]) -> Any:
    """Return a network with the same options whose parameters stay at a version when this network changes."""
    return network._at(version)
