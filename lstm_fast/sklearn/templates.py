"""Results in the form of the input: array, series or frame."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .frames import ID, TIME, Table
from .stamps import column_of_stamps, pandas
from .times import Stamps


@dataclass
class Template:
    """The form of an input, which results take as well."""

    like: Any  # native, at most one row
    levels: tuple[tuple[str, Hashable], ...]
    index: Any | None  # without rows
    columns: list[Hashable]
    is_series: bool
    series_name: Hashable

    @classmethod
    def of(cls, table: Table) -> "Template":
        index = None if table.index is None else table.index[:0]
        return cls(
            table.frame.head(1).to_native(), table.levels, index, table.numbers, table.is_series, table.series_name
        )

    def fill(self, columns: Mapping[Any, Any], ids: list[Hashable] | None, stamps: Stamps | None) -> Any:
        """Build a native frame, or a series of the first of `columns`, with ids and stamps if the form has them."""
        import narwhals.stable.v2 as nw

        like = nw.from_native(self.like)
        backend = like.implementation
        values = {name: nw.new_series("", np.asarray(v), backend=backend) for name, v in columns.items()}
        if self.is_series and not self.levels:
            series: Any = values[next(iter(values))]
            return series.alias(self.series_name).to_native()
        roles: dict[Any, Any] = {}
        if ids is not None:
            roles[ID] = nw.from_native(_ids_like(like[ID], ids), series_only=True)
        if stamps is not None and TIME in like.columns:
            roles[TIME] = column_of_stamps(stamps, like[TIME])
        in_index = [role for role, _ in self.levels]
        order = [name for name in like.columns if name in roles] + list(values)
        columns = {name: (roles | values)[name] for name in order}
        if self.index is None and not in_index and nw.maybe_get_index(like) is None:
            return nw.from_dict(columns, backend=backend).to_native()
        frame = type(self.like)({name: column.to_native() for name, column in columns.items()})
        if in_index and self.index is None:
            frame = frame.set_index(in_index)
        elif in_index and stamps is not None:
            frame.index = self._index(stamps)
        if self.is_series:
            return frame[next(iter(values))].rename(self.series_name)
        return frame

    def _index(self, stamps: Stamps) -> Any:
        pd = pandas()
        assert self.index is not None
        if isinstance(self.index, pd.RangeIndex) and isinstance(stamps, np.ndarray) and len(stamps) > 1:
            step = int(stamps[1] - stamps[0])
            return pd.RangeIndex(int(stamps[0]), int(stamps[-1]) + step, step, name=self.index.name)
        return pd.Index(stamps, name=self.index.name)


def _ids_like(like: Any, ids: list[Hashable]) -> Any:
    import narwhals.stable.v2 as nw

    if nw.maybe_get_index(like) is not None:
        native = like.to_native()
        values = np.empty(len(ids), object)
        for k, one in enumerate(ids):  # not values[:] = ids, which would unpack tuples
            values[k] = one
        return type(native)(values).astype(native.dtype)
    return nw.new_series(ID, ids, like.dtype, backend=like.implementation).to_native()
