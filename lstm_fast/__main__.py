"""Command line: lstm-fast, or python -m lstm_fast. The commands are implemented in lstm_fast/tour and in explain."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from ._errors import FormatError


def _number(lowest: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if value < lowest:
            raise argparse.ArgumentTypeError(f"must be at least {lowest}, got {value}")
        return value

    read.__name__ = "integer"  # the name argparse uses in its message when int() fails
    return read


def _parser() -> argparse.ArgumentParser:
    from . import __version__

    parser = argparse.ArgumentParser(prog="lstm-fast", description="A fast LSTM for the CPU.")
    parser.add_argument("--version", action="version", version=f"lstm-fast {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="{tour,info,bench,check-vectors,explain}")
    tour = commands.add_parser("tour", help="how an LSTM works, step by step with numbers (the default)")
    tour.add_argument("--out", default="tour", metavar="DIR", help="directory for the plots (default: ./tour)")
    tour.add_argument("--seed", type=_number(0), default=0, help="random seed of all weights (default: 0)")
    tour.add_argument("--quick", action="store_true", help="fewer training steps and shorter timings")
    tour.add_argument("--no-pictures", action="store_true", help="text only")
    explain = commands.add_parser("explain", help="write a web page on which an LSTM unit can be followed and changed")
    explain.add_argument("--out", default="explain.html", metavar="FILE", help="page to write (default: explain.html)")
    commands.add_parser("info", help="describe this installation, for bug reports")
    bench = commands.add_parser("bench", help="only the benchmark table of the tour")
    bench.add_argument(
        "--num-threads", type=_number(1), default=1, metavar="N", help="threads per library (default: 1)"
    )
    vectors = commands.add_parser("check-vectors", help="compare the results of this build with the expected bits")
    vectors.add_argument("path", nargs="?", metavar="PATH", help="file or folder of vectors (default: this version's)")
    return parser


def _info() -> None:
    import lstm_fast as lf

    for name, value in lf.info().items():
        print(f"{name}: {', '.join(value) if isinstance(value, list) else value}")


def _explain(path: str) -> None:
    from .explain import companies

    companies(path)
    print(f"Open {os.path.abspath(path)} in a browser: it needs no network.")


def _bench(n_threads: int) -> None:
    from .tour import speed

    for line in speed.table(n_threads):
        print(line, flush=True)


def _check_vectors(path: str | None) -> int:
    from . import _vectors

    line = ""
    for line in _vectors.table(path):
        print(line, flush=True)
    return 0 if line.startswith("All") else 1


def _run(args: argparse.Namespace) -> int:
    status = 0
    if args.command == "info":
        _info()
    elif args.command == "explain":
        _explain(args.out)
    elif args.command == "check-vectors":
        status = _check_vectors(args.path)
    elif args.command == "bench":
        _bench(args.num_threads)
    else:
        from .tour.tour import tell

        tell(args.seed, None if args.no_pictures else args.out, args.quick)
    sys.stdout.flush()  # so that a closed pipe is handled below and not at exit
    return status


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit code: 0, 1 for wrong bits or unusable files, 128 + signal for Ctrl-C or a closed pipe."""
    words = sys.argv[1:] if argv is None else list(argv)
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help", "--version")):
        words.insert(0, "tour")
    try:
        return _run(_parser().parse_args(words))
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader (head, less) has exited: write nothing more, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (OSError, FormatError) as error:
        print(f"lstm-fast: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
