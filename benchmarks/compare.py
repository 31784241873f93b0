"""Compare lstm_fast with every other CPU LSTM that is installed, each in its own process, in interleaved rounds.

python benchmarks/compare.py [--quick] [--only REGIME] [--peers torch,jax] [--python torch=VENV/bin/python] ...
python benchmarks/compare.py --show FILE.json       # table and chart of an earlier run
python benchmarks/compare.py --join FILE.json PIECE.json ...   # one file of pieces, such as those of --part 1/8 to 8/8
python benchmarks/compare.py --agree FILE.json FILE.json ...   # how far our times differ between runs
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from time import monotonic

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # this process only sends requests
    os.environ.setdefault(name, "1")

from comparison import agreement, chart, host, joined, markdown, table  # noqa: E402
from comparison.bars import bars_of  # noqa: E402
from comparison.case import flops, peers_of  # noqa: E402
from comparison.measure import measure  # noqa: E402
from comparison.processes import Children  # noqa: E402
from comparison.shapes import LARGEST_FLOPS, REGIMES, cases, quick_cases  # noqa: E402

PEERS = ["torch", "onnxruntime", "openvino", "ncnn", "jax", "keras", "thinc"]
LARGE = f"{LARGEST_FLOPS / 1e9:.0f} GFLOP per call"
RESULTS = Path(__file__).resolve().parent / "results"


def _list_of(allowed):
    def read(text):
        names = [name for name in text.split(",") if name]
        unknown = [name for name in names if name not in allowed]
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(allowed)}")
        return names

    return read


def _interpreter(text):
    name, _, path = text.partition("=")
    if name not in [*PEERS, "lstm_fast", "limits"] or not path:
        raise argparse.ArgumentTypeError(f"expected NAME=PATH, NAME one of lstm_fast, {', '.join(PEERS)}; got {text!r}")
    return name, str(Path(path).expanduser().absolute())  # absolute but not resolved: the python of a venv is a link


def _shape(text):
    try:
        T, B, I, H = map(int, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected T,B,I,H, four integers; got {text!r}") from None
    return T, B, I, H


def _part(text):
    k, _, n = text.partition("/")
    if not (k.isdigit() and n.isdigit() and 1 <= int(k) <= int(n)):
        raise argparse.ArgumentTypeError(f"expected K/N, part K of N; got {text!r}")
    return int(k), int(n)


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one or two shapes of each regime, 3 rounds")
    parser.add_argument("--only", type=_list_of(list(REGIMES)), metavar="REGIME,...", help=", ".join(REGIMES))
    parser.add_argument(
        "--shape", type=_shape, action="append", metavar="T,B,I,H", help="only this shape; may be repeated"
    )
    parser.add_argument("--part", type=_part, default=(1, 1), metavar="K/N", help="every Nth shape, from the Kth on")
    parser.add_argument(
        "--peers", type=_list_of(PEERS), default=PEERS, metavar="NAME,...", help="default: " + ",".join(PEERS)
    )
    parser.add_argument(
        "--python",
        type=_interpreter,
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="interpreter that has this framework; may be repeated (default: this one)",
    )
    parser.add_argument(
        "--num-threads", type=int, default=1, metavar="N", help="threads of every framework (default: 1)"
    )
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="default: 7, 5 for shapes without a bar, 3 with --quick"
    )
    parser.add_argument("--large", action="store_true", help=f"also shapes above {LARGE}")
    parser.add_argument(
        "--out", type=Path, default=RESULTS, metavar="DIR", help="folder for JSON and PNG (default: results/)"
    )
    parser.add_argument(
        "--show", type=Path, metavar="FILE.json", help="measure nothing: print table and chart of an earlier run"
    )
    parser.add_argument(
        "--join",
        type=Path,
        nargs="+",
        metavar="FILE.json",
        help="measure nothing: write the rows of the other files to the first, with its chart",
    )
    parser.add_argument(
        "--agree",
        type=Path,
        nargs="+",
        metavar="FILE.json",
        help="measure nothing: print how far our times differ between these runs",
    )
    parser.add_argument(
        "--markdown", action="store_true", help="with --show: print the tables of docs/performance.md instead"
    )
    return parser.parse_args()


def _chosen(args):
    chosen = quick_cases() if args.quick else cases()
    chosen = [case for case in chosen if not args.only or case.regime in args.only]
    chosen = [case for case in chosen if not args.shape or (case.T, case.B, case.I, case.H) in args.shape]
    small = [case for case in chosen if args.large or flops(case) <= LARGEST_FLOPS]
    k, n = args.part
    return small[k - 1 :: n], len(chosen) - len(small)


def _progress(chosen, say):
    """Iterate over the cases, with a progress bar if possible; say[0] prints without breaking the bar."""
    try:
        from tqdm import tqdm
    except ImportError:
        tqdm = None
    if tqdm and sys.stderr.isatty():
        say[0] = lambda text: tqdm.write(text, file=sys.stdout)
        return tqdm(chosen, unit="shape", leave=False)
    return chosen


def _run(args):
    chosen, n_left_out = _chosen(args)
    children, say, rows, start = Children(dict(args.python)), [print], [], monotonic()
    for framework in ("lstm_fast", "limits", *args.peers):
        child = children.of(framework, args.num_threads)
        problem = child.start()
        versions = ", ".join(f"{name} {value}" for name, value in child.versions.items())
        print(f"{framework}: {problem or versions}", flush=True)
        if problem and framework in ("lstm_fast", "limits"):
            sys.exit(f"{framework} is required for every comparison")
    missing = children.missing()
    peers = [peer for peer in args.peers if peer not in missing]
    machine = {"isa": children.versions().get("isa"), "instructions": host.instructions()}
    compared = {(case.regime, peer) for case in chosen for peer in peers_of(case, peers)}
    shown = {regime: [peer for peer in peers if (regime, peer) in compared] for regime in REGIMES}
    regime = None
    try:
        for k, case in enumerate(_progress(chosen, say)):
            if case.regime != regime:
                regime = case.regime
                for text in table.heading(regime, shown[regime]):
                    say[0](text)
            has_bars = any(bars_of({**case._asdict(), "format": case.entrant.format}))
            n_rounds = args.rounds or (3 if args.quick else 7 if has_bars else 5)
            row = measure(case, children, peers, args.num_threads, n_rounds)
            rows.append(row)
            say[0](
                table.line(row, shown[regime], machine) + ("" if say[0] is not print else f"   [{k + 1}/{len(chosen)}]")
            )
            sys.stdout.flush()
    except KeyboardInterrupt:
        print("\nInterrupted: the rows measured so far are kept.", file=sys.stderr)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # a second one must not prevent the processes from being ended
            signal.signal(number, signal.SIG_IGN)
        versions = children.versions()
        children.close()
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return {
        "host": host.facts(args.num_threads, versions),
        "rows": rows,
        "settings": {
            "peers": peers,
            "missing": missing,
            "is_quick": args.quick,
            "only": args.only,
            "shapes": args.shape,
            "n_left_out": n_left_out,
            "minutes": round((monotonic() - start) / 60, 1),
        },
    }


def main():
    args = _arguments()
    if args.agree:
        print("\n".join(agreement.lines([json.loads(path.read_text()) for path in args.agree])))
        return
    if args.join:
        path, *pieces = args.join
        results = joined.join([json.loads(piece.read_text()) for piece in pieces])
        path.write_text(json.dumps(results, indent=1) + "\n")
        print(chart.draw(results, path.with_suffix(".png")))
        return
    if args.show:
        results = json.loads(args.show.read_text())
        if args.markdown:
            print("\n".join(markdown.all_tables(results)))
            return
        print("\n".join(table.all_lines(results)))
        print(chart.draw(results, args.show.with_suffix(".png")))
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C, keeping the rows measured so far
    results = _run(args)
    args.out.mkdir(parents=True, exist_ok=True)
    threads = f"{args.num_threads}-threads" if args.num_threads > 1 else None
    part = "part-{}-of-{}".format(*args.part) if args.part[1] > 1 else None
    kind = [text for text in ("quick" if args.quick else None, *(args.only or []), threads, part) if text]
    path = args.out / f"{'-'.join([host.file_stem(results['host']), *kind])}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")  # first: --show can reproduce the rest
    print("\n".join(table.closing(results)))
    for peer, problem in results["settings"]["missing"].items():
        print(f"  {peer}: {problem}")
    if results["settings"]["n_left_out"]:
        print(f"{results['settings']['n_left_out']} shapes above {LARGE} skipped: see --large")
    print(f"{results['settings']['minutes']} minutes; written: {path}")
    print(chart.draw(results, path.with_suffix(".png")))


if __name__ == "__main__":
    main()
