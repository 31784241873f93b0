"""Time stamps of a series: ascending, without repetitions and gaps, and how they continue.

Stamps are an array of numbers or time deltas, a pandas.DatetimeIndex or a pandas.PeriodIndex. Calendar arithmetic is
pandas' own: a frequency is inferred, or given, and must generate all stamps of a series.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Stamps = Any  # np.ndarray | pandas.DatetimeIndex | pandas.PeriodIndex
Step = Any  # a number, a time delta or a pandas offset


@dataclass(frozen=True)
class Times:
    """Stamps of consecutive steps, one `step` apart."""

    stamps: Stamps
    step: Step

    def until(self, end: int) -> "Times":
        """The first `end` stamps."""
        return Times(self.stamps[:end], self.step)

    def after(self, n: int) -> Stamps:
        """The `n` stamps that follow."""
        if _counts_from_first(self.step):
            return _consecutive(self.stamps, self.step, len(self.stamps) + n)[len(self.stamps) :]
        return _consecutive(self.stamps[-1:], self.step, n + 1)[1:]


def sort(name: str, stamps: Stamps) -> tuple[np.ndarray, Stamps]:
    """Return the order that sorts stamps, and the sorted stamps; raise an error for missing and duplicate ones."""
    missing = stamps != stamps if isinstance(stamps, np.ndarray) else stamps.isna()
    if missing.any():
        raise ValueError(f"{name} must not be missing, got {stamps[missing][0]} in row {int(np.argmax(missing))}")
    if is_ascending(stamps):  # no copy, which would lose the index's own frequency
        return np.arange(len(stamps)), stamps
    order = np.argsort(_numbers(stamps), kind="stable")
    stamps = stamps[order]
    repeated = stamps[1:] == stamps[:-1]
    if repeated.any():
        first = stamps[1:][repeated][0]
        raise ValueError(f"{name} must not repeat within a series, got {first} {_count(stamps, first)} times")
    return order, stamps


def _count(stamps: Stamps, value: Any) -> int:
    return int((stamps == value).sum())


def is_ascending(stamps: Stamps) -> bool:
    """Whether each stamp is later than the one before."""
    numbers = _numbers(stamps)
    return bool((numbers[1:] > numbers[:-1]).all())


def _numbers(stamps: Stamps) -> np.ndarray:
    """Convert stamps to numbers in the same order, which compare many times faster."""
    return stamps if isinstance(stamps, np.ndarray) else stamps.asi8


def first_difference(given: Stamps, expected: Stamps) -> int | None:
    """The first row where two sets of stamps differ; None if they are equal. Time zones are compared by instant."""
    n = min(len(given), len(expected))
    if isinstance(given, np.ndarray) != isinstance(expected, np.ndarray):
        return 0
    if given.dtype == expected.dtype:
        is_equal = _numbers(given)[:n] == _numbers(expected)[:n]
    else:
        try:
            is_equal = np.asarray(given[:n] == expected[:n])
        except (TypeError, ValueError):  # periods of another frequency, time deltas compared with numbers
            return 0
    if not is_equal.all():
        return int(np.argmin(is_equal))
    return None if len(given) == len(expected) else n


def require_equal(name: str, given: Stamps, expected: Stamps, what: str) -> None:
    """Raise an error that names the first row in which `given` differs from `expected`; `what` describes those."""
    k = first_difference(given, expected)
    if k is not None:
        found = f"got {given[k]}" if k < len(given) else "got none"
        wanted = expected[k] if k < len(expected) else "none"
        raise ValueError(f"{name} must be {what}: expected {wanted} in row {k} (in order of time), {found}")


# ---- the step ----


def regular(series: Sequence[tuple[str, Stamps]], freq: Any = None, known: Iterable[Step] = ()) -> list[Times]:
    """Times of several series from their (name, ascending stamps).

    The step is `freq`, or that of the index, or one of `known`, or one that a longer series has, or inferred. Thus a
    series from Monday to Friday is daily or of business days as the others are.
    """
    times: list[Times | None] = [None] * len(series)
    steps = list(known)
    longer: list[Times] = []
    for k in sorted(
        range(len(series)), key=lambda k: (-len(series[k][1]), *_numbers(series[k][1])[:1].astype(np.float64))
    ):
        name, stamps = series[k]
        step = next((one.step for one in longer if _is_part(stamps, one)), None)
        if step is None:
            step = _step(name, stamps, freq, steps)
            if len(longer) < 16 and not _counts_from_first(step):  # an optimization, which must pay
                longer.append(_extended(Times(stamps, step), [one for _, one in series]))
            if not any(step == other for other in steps):
                steps.append(step)
        times[k] = Times(stamps, step)
    return [one for one in times if one is not None]


def _extended(times: Times, series: Sequence[Stamps]) -> Times:
    """Times that continue to the end of all series, so that pandas generates business days once for all of them."""
    last = max(_numbers(one)[-1] for one in series if len(one) and one.dtype == times.stamps.dtype)
    while _numbers(times.stamps)[-1] < last and len(times.stamps) < 100_000:
        times = Times(_consecutive(times.stamps, times.step, 2 * len(times.stamps)), times.step)
    return times


def _is_part(stamps: Stamps, times: Times) -> bool:
    if type(stamps) is not type(times.stamps) or stamps.dtype != times.stamps.dtype or not len(stamps):
        return False
    begin = np.searchsorted(_numbers(times.stamps), _numbers(stamps)[0])
    return np.array_equal(_numbers(times.stamps)[begin : begin + len(stamps)], _numbers(stamps))


def _step(name: str, stamps: Stamps, freq: Any, known: Sequence[Step]) -> Step:
    if isinstance(stamps, np.ndarray):
        return _step_of_numbers(name, stamps, freq, known)
    import pandas as pd

    if isinstance(stamps, pd.PeriodIndex):
        if freq is not None:
            raise ValueError(f"freq must be None for periods, which have their own ({stamps.freqstr}), got {freq!r}")
        return _step_of_numbers(name, stamps.asi8, None, (), stamps)
    if freq is not None:
        try:
            step = pd.tseries.frequencies.to_offset(freq)
        except (ValueError, TypeError):
            raise ValueError(f"freq must be a frequency of pandas or None, got {freq!r}") from None
        _require_step(name, stamps, step, "given by freq")
        return step
    own = [] if stamps.freq is None or stamps.freq.n < 1 else [stamps.freq]
    for step in (*own, *known, *_inferred(stamps)):
        if (
            isinstance(step, pd.offsets.BaseOffset)
            and first_difference(stamps, _consecutive(stamps, step, len(stamps))) is None
        ):
            return step
    if len(stamps) < 3:
        raise ValueError(f"{name}: {len(stamps)} dates do not determine a frequency; set freq=, for example freq='D'")
    step = _likely(stamps)
    if step is None:
        raise ValueError(
            f"{name} has no frequency that pandas can infer, got {', '.join(map(str, stamps[:4]))}, .... {CURE}"
        )
    _require_step(name, stamps, step, "inferred")
    return step


CURE = (
    "Insert the missing steps (y may be NaN), set freq= if the dates have another frequency, or drop the dates (an "
    "index: reset_index(drop=True)) if the rows are consecutive steps"
)


def _require_step(name: str, stamps: Stamps, step: Step, source: str) -> None:
    expected = _consecutive(stamps, step, len(stamps))
    k = first_difference(stamps, expected)
    if k is None:
        return
    frequency = f"frequency {getattr(step, 'freqstr', step)}, {source}"
    if k == 0:
        raise ValueError(f"{name} starts at {stamps[0]}, which does not match its {frequency}. {CURE}")
    if stamps[k] < expected[k]:
        raise ValueError(f"{name} has {stamps[k]} between two dates of its {frequency}. {CURE}")
    raise ValueError(f"{name} has a gap: {expected[k]} is missing after {stamps[k - 1]} ({frequency}). {CURE}")


def _step_of_numbers(
    name: str, numbers: np.ndarray, freq: Any, known: Sequence[Step], shown: Stamps | None = None
) -> Step:
    """The step of equally spaced numbers; a step of periods is a number of them."""
    shown = numbers if shown is None else shown
    steps = np.diff(numbers)
    if freq is not None:
        step = freq
        if not isinstance(freq, int | float | np.number | np.timedelta64) or not freq > type(freq)(0):
            raise ValueError(f"freq must be a positive number for numeric {name}, got {freq!r}")
    elif len(steps):
        step = np.sort(steps)[len(steps) // 2]
    else:
        step = next((one for one in known if np.isscalar(one)), numbers.dtype.type(1))
    if numbers.dtype.kind == "f":
        is_regular = np.abs(steps - step) <= 1e-6 * step
        step = (numbers[-1] - numbers[0]) / len(steps) if len(steps) and is_regular.all() else step
    else:
        is_regular = steps == step
    if not is_regular.all():
        k = int(np.argmin(is_regular))
        raise ValueError(f"{name} has a gap: {shown[k + 1]} follows {shown[k]}, not one step of {step} later. {CURE}")
    return step


def _consecutive(stamps: Stamps, step: Step, n: int) -> Stamps:
    """`n` stamps, starting with the first of `stamps`."""
    if isinstance(stamps, np.ndarray):
        return stamps[:1] + step * np.arange(n)
    import pandas as pd

    if isinstance(stamps, pd.PeriodIndex):
        return stamps[:1].repeat(n) + step * np.arange(n)
    if _counts_from_first(step):
        days = pd.DatetimeIndex([stamps[0] + step * k for k in range(n)])
    else:
        try:
            days = pd.date_range(stamps[0], periods=n, freq=step)
        except ValueError:  # a local time that the change of clocks skips or repeats
            local = pd.date_range(stamps[0].tz_localize(None), periods=n, freq=step)
            days = local.tz_localize(stamps.tz, ambiguous=np.ones(n, bool), nonexistent="shift_forward")
    return days.as_unit(stamps.unit)


def _counts_from_first(step: Step) -> bool:
    """Whether a date is `first + k * step` and not `previous + step`: the 31st, 28th, 31st of months, and numbers."""
    return np.isscalar(step) or type(step).__name__ == "DateOffset"


def _inferred(stamps: Stamps) -> list[Step]:
    """Candidates for the frequency: the one that pandas infers, else the same day every n months."""
    import pandas as pd

    if len(stamps) < 3:
        return []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*infer_freq")  # pandas 3.1: an offset will replace the string
        freq = pd.infer_freq(stamps)
    if freq is not None:
        return [pd.tseries.frequencies.to_offset(freq)]
    local = stamps if stamps.tz is None else stamps.tz_localize(None)
    months = local.year * 12 + local.month
    return [pd.DateOffset(months=int(months[1] - months[0]))] if months[1] > months[0] else []


def _likely(stamps: Stamps) -> Step | None:
    """The likely frequency, to locate the first gap: the frequency of the longest regular run found."""
    for size in (64, 32, 16, 8, 4, 3):
        for begin in range(0, len(stamps) - size + 1, max(size // 2, len(stamps) // 64)):
            part = stamps[begin : begin + size]
            for step in _inferred(part):
                if first_difference(part, _consecutive(part, step, size)) is None:
                    return step
    return None
