"""A progress bar on stderr: tqdm's if it is installed, otherwise a plain line."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(total: int, label: str) -> Iterator[Callable[[float], None]]:
    """Provide a function to be called with the loss after each of at most `total` steps."""
    try:
        from tqdm import tqdm
    except ImportError:
        with _plain_progress(total, label) as advance:
            yield advance
        return
    bar_format = "{desc} {percentage:3.0f}% |{bar}| {n_fmt} of at most {total_fmt} steps [{elapsed}{postfix}]"
    with tqdm(total=total, desc=label, ncols=78, file=sys.stderr, bar_format=bar_format) as bar:

        def advance(loss: float) -> None:
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            bar.update()

        yield advance


@contextmanager
def _plain_progress(total: int, label: str) -> Iterator[Callable[[float], None]]:
    done, line = 0, ""

    def advance(loss: float) -> None:
        nonlocal done, line
        done += 1
        line = f"\r{label} {done} of at most {total} steps, loss {loss:.4f}"
        if done % max(1, total // 20) == 0:
            print(line, end="", file=sys.stderr, flush=True)

    try:
        yield advance
    finally:
        print(line, file=sys.stderr, flush=True)
