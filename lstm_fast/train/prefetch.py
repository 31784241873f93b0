"""Reading ahead: one thread reads the next items of an iterable while the current one is used."""

from __future__ import annotations

import contextvars
import queue
import sys
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

DEPTH = 2  # items that are ready
POLL = 0.05  # seconds: a thread that waits without a timeout ignores Ctrl-C on Windows
GRACE = 0.02  # seconds that Ctrl-C leaves to the item in flight


def prefetched(
    items: Iterable[Item], convert: Callable[[Item], Result], depth: int = DEPTH
) -> Generator[Result, None, None]:
    """Yield convert(item) for each item, both computed by a thread that is ahead by at most `depth` items.

    An exception of the iterable or of convert is raised here, with its traceback. Closing the generator ends the
    thread, when the item that it reads is complete. Ctrl-C does not wait for that item: the thread is abandoned, and
    ends after it.
    """
    handled = sys.exc_info()[1]  # exception that the caller handles
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
                if not is_closed.is_set():
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
    is_reading, is_interrupted = True, False
    try:
        while True:
            try:
                kind, value = ready.get(timeout=POLL)
            except queue.Empty:
                continue
            is_reading = kind == "item"
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
            value = None  # freed while the next item is awaited
    except BaseException as error:
        is_interrupted = is_reading and _is_interruption(error, handled)
        raise
    finally:
        is_closed.set()
        with suppress(queue.Empty):
            ready.get_nowait()  # a thread waiting for space returns immediately
        if is_interrupted:
            thread.join(GRACE)
        while thread.is_alive() and not is_interrupted:
            thread.join(POLL)


def _is_interruption(error: BaseException, handled: BaseException | None) -> bool:
    """Test if an error is due to a signal: raised during the wait, or in the caller, which then closes the generator.

    The context of GeneratorExit is the exception that the caller is handling, `handled` if it was before.
    """
    if not isinstance(error, GeneratorExit):
        return True
    cause = error.__context__
    while cause is not None and cause is not handled:
        if isinstance(cause, (KeyboardInterrupt, SystemExit)):
            return True
        cause = cause.__context__
    return False
