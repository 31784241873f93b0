"""Reading ahead: one thread reads the next items of an iterable while the current one is used."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

DEPTH = 2  # items that are ready
POLL = 0.2  # seconds: a thread that waits without a timeout ignores Ctrl-C on Windows


def prefetched(
    items: Iterable[Item], convert: Callable[[Item], Result], depth: int = DEPTH
) -> Generator[Result, None, None]:
    """Yield convert(item) for each item, both computed by a thread that is ahead by at most `depth` items.

    An exception of the iterable or of convert is raised here, with its traceback. Closing the generator ends the
    thread, when the item that it reads is complete.
    """
    ready: queue.Queue[tuple[str, Any]] = queue.Queue(depth - 1)
    is_closed = threading.Event()

    def put(kind: str, value: Any) -> None:
        while not is_closed.is_set():
            try:
                ready.put((kind, value), timeout=POLL)
                return
            except queue.Full:
                continue

    def read() -> None:
        iterator = None
        try:
            iterator = iter(items)
            for item in iterator:
                put("item", convert(item))
                if is_closed.is_set():
                    break
        except BaseException as error:  # KeyboardInterrupt and SystemExit of the iterable too
            put("error", error)
        else:
            put("end", None)
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    context = contextvars.copy_context()  # num_threads of the caller
    thread = threading.Thread(target=context.run, args=(read,), name="lstm_fast prefetch", daemon=True)
    thread.start()
    try:
        while True:
            try:
                kind, value = ready.get(timeout=POLL)
            except queue.Empty:
                continue
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
            value = None  # freed while the next item is awaited
    finally:
        is_closed.set()
        with suppress(queue.Empty):
            ready.get_nowait()  # a thread that waits for room returns at once
        while thread.is_alive():
            thread.join(POLL)
