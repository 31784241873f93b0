"""benchmarks/compare.py: its shapes, bars, verdicts and tables. No timings are asserted."""

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks"))

agreement, host, table, bars, shapes, comparison_case, joined, measure, verdict = (
    import_module(f"comparison.{name}")
    for name in ("agreement", "host", "table", "bars", "shapes", "case", "joined", "measure", "verdict")
)
PEERS = ["torch", "onnxruntime", "openvino"]
ZEN5 = {"cpu": "Zen 5", "isa": "avx512", "instructions": ["avx512f", "avx512_vnni", "avx512_bf16"]}
ZEN3 = {"cpu": "Zen 3", "isa": "avx2", "instructions": ["avx2"]}


def row(regime, format="float32", kind="forward", shape=(100, 1, 64, 64), layers=1, own=None, peers=(), **ours):
    """A row of results. own, and each of the peers: seconds or a dict; ours: seconds and more of lstm_fast."""

    def result(value):
        return value if isinstance(value, dict) else {"seconds": value, "rounds": [value] * 3}

    name = "lstm_fast" if format == "float32" else f"lstm_fast {format}"
    times = {name: ours if "problem" in ours else {"rounds": [ours["seconds"]] * 3, **ours}}
    if own:
        times["lstm_fast"] = result(own)
    times |= {peer: result(value) for peer, value in dict(peers).items()}
    sizes = dict(zip("TBIH", shape, strict=True))
    return {
        "regime": regime,
        "kind": kind,
        "format": format,
        "layers": layers,
        **sizes,
        "reason": "",
        "num_threads": 1,
        "flops": 8e6,
        "ours": name,
        "own": "lstm_fast" if own else None,
        "own_work": 1 if own else None,
        "peers": {peer: peer for peer in dict(peers)},
        "times": times,
    }


def as_row(case):
    return {**case._asdict(), "format": case.entrant.format}


def required(regime, kind="forward", T=100, B=1, H=64, format=None, layers=1):
    format = format or (regime if regime in comparison_case.FEWER_BITS else "float32")
    found = bars.bars_of({"regime": regime, "kind": kind, "T": T, "B": B, "H": H, "format": format, "layers": layers})
    return {what: value for what, value, _ in found}


def test_every_regime_has_shapes_and_the_table_follows_its_order():
    order = [case.regime for case in shapes.cases()]
    assert list(dict.fromkeys(order)) == list(shapes.REGIMES)
    assert order == sorted(order, key=list(shapes.REGIMES).index)
    assert {case.regime for case in shapes.quick_cases()} >= {"bfloat16", "int8", "bfloat16-training", "stack"}


@pytest.mark.parametrize(
    "case", shapes.cases(), ids=lambda case: f"{case.regime}-{case.kind}-{'-'.join(map(str, case[2:6]))}"
)
def test_shapes_are_complete(case):
    assert min(case.T, case.B, case.I, case.H, case.layers) >= 1
    assert case.kind in ("step", "block", "forward", "training")
    assert (case.T, case.B) == (1, 1) or case.kind != "step"
    names = [measure.label(entrant) for entrant in measure.entrants(case, PEERS)]
    assert len(set(names)) == len(names)
    assert case.own is None or case.own.framework == case.entrant.framework == "lstm_fast"
    assert comparison_case.flops(case) > 0
    assert 0 < comparison_case.weight_bytes(case)[0] <= comparison_case.weight_bytes(case)[1]


def test_shapes_of_a_format_are_timed_beside_float32_and_peers_in_the_same_format():
    for format in comparison_case.FEWER_BITS:
        chosen = [case for case in shapes.cases() if case.regime == format]
        assert {case.H for case in chosen if case.B == 1} >= {64, 128, 256, 512, 1024}
        assert {case.B for case in chosen} >= {1, 16, 32, 64}
        benchdnn = {case[2:6] for case in chosen if case.reason.startswith("benchdnn")}
        assert {(30, 1, 1024, 1024), (629, 1, 128, 128)} <= benchdnn or format.startswith("int8-inputs")
        for case in chosen:
            assert case.own == comparison_case.Entrant("lstm_fast")
            peers = [entrant for entrant in measure.entrants(case, PEERS) if entrant.framework != "lstm_fast"]
            assert peers and all(entrant.format == format.partition("-")[0] for entrant in peers)


def test_shapes_are_unique():
    def key(case):
        return case._replace(reason="", peers=None)

    assert len({key(case) for case in shapes.cases()}) == len(shapes.cases())


def test_flops_and_weight_bytes_count_layers():
    one = comparison_case.Case("stack", "step", 1, 1, 8, 16, "")
    two = one._replace(layers=2)
    assert comparison_case.flops(two) - comparison_case.flops(one) == 8 * 16 * 32
    assert comparison_case.weight_bytes(two)[0] - comparison_case.weight_bytes(one)[0] == 4 * 4 * 16 * 32
    assert (
        comparison_case.peers_of(one, PEERS) == PEERS
        and comparison_case.peers_of(one._replace(peers=False), PEERS) == []
    )


def test_every_target_applies_to_a_shape():
    everything = [as_row(case) for case in shapes.cases()]
    for bar in bars.BARS:
        assert set(bar.regimes.split()) <= set(shapes.REGIMES)
        values = bar.value if isinstance(bar.value, dict) else {None: bar.value}
        for H, value in values.items():
            assert any(
                (bar.what, value, bar.needs) in bars.bars_of(row) for row in everything if H in (None, row["H"])
            ), bar


def test_bars_are_unique_per_shape():
    for case in shapes.cases():
        names = [what for what, *_ in bars.bars_of(as_row(case))]
        assert len(set(names)) == len(names), case


def test_format_targets():
    assert [required("int8", H=H)["peers"] for H in (64, 128, 256, 512, 1024)] == [2.5, 2, 1.5, 1.5, 1.5]
    assert [required("bfloat16", "step", 1, H=H)["peers"] for H in (64, 128, 256)] == [2.5, 2, 1.5]
    assert "own" not in required("int8", H=128) and required("int8", H=256)["own"] == 2.5
    assert required("int8", B=32) == {"peers": 1.25, "error/onnxruntime": 0.5}
    assert required("int8", B=32, H=128)["own"] == 2.5
    assert required("int8-inputs", B=32) == required("int8", B=32)
    assert required("bfloat16", B=16) == {"peers": 1.15, "own": 1.7, "error/openvino": 1}
    assert required("formats-avx2", H=128, format="int8") == {"own": 0.98}
    assert required("formats-avx2", B=32, H=64, format="int8") == {"own": 1.3}
    assert required("formats-avx2", B=32, H=64, format="bfloat16") == {}
    assert required("bfloat16-training", "training", B=16) == {"peers": 1.15, "own": 1.5, "gradients": 0.01}
    assert required("bfloat16-training", "training", B=1, H=256) == {"gradients": 0.01}


def test_float32_and_two_thread_targets():
    assert required("deepbench", B=4, H=2048) == {"ahead": 1.05}
    assert required("sequence") == {"ahead": 1.05, "limit": 0.79}
    assert required("stack", "step", 1, H=128, layers=2) == {"tail": 1.3, "ahead": 1.05}
    assert required("stack", "step", 1, H=128, layers=2, format="int8-inputs")["us"] == 3.5
    assert required("stack", "step", 1, H=128, layers=2, format="int8") == {"us": 3.5, "tail": 1.3}
    assert required("stack", "step", 1, H=128, layers=2, format="bfloat16") == {"us": 5.5, "tail": 1.3}
    assert required("threads", H=320) == {"own": 2.2, "peers": 1}
    assert required("threads", H=256, layers=2) == {"own": 1.7, "peers": 1}
    assert required("threads", "training", B=32) == {"own": 1.85, "peers": 1}
    assert required("busy") == {"own": 0.95}


@pytest.mark.parametrize(
    "seconds, facts, text",
    [
        (1.0, ZEN5, ">=1.25x met; >=2.50x baseline met (2.60)"),
        (1.1, ZEN5, ">=1.25x missed; >=2.50x baseline missed (2.36)"),
        (1.1, ZEN3, ">=1.25x needs AVX512_VNNI or AVX_VNNI; >=2.50x baseline needs AVX512_VNNI or AVX_VNNI (2.36)"),
        (1.0, ZEN3, ">=1.25x met; >=2.50x baseline met (2.60)"),
    ],
)
def test_targets_name_required_instructions(seconds, facts, text):
    measured = row("int8", "int8", shape=(50, 32, 128, 128), own=2.6, peers={"torch": 1.3}, seconds=seconds)
    assert "; ".join(map(table.bar_text, verdict.verdicts(measured, facts))) == text


def test_files_without_instructions_list_those_of_their_kernels():
    measured = {**row("sequence", peers={"torch": 2.0}, seconds=1.0)}
    measured["limits"] = {"flops_per_s": 16e6, "bytes_per_s": 1.0, "bytes": 0.0}
    texts = [[v.text for v in verdict.verdicts(measured, {"isa": isa})] for isa in ("avx512", "avx2")]
    assert texts == [["missed", "met"], ["needs AVX512F", "met"]] or texts == [
        ["met", "missed"],
        ["met", "needs AVX512F"],
    ]


@pytest.mark.parametrize("ratio, share, text", [(1.05, 0.1, "met"), (1.02, 0.96, "met"), (1.02, 0.94, "missed")])
def test_equal_to_the_best_peer_passes_at_the_hardware_limit(ratio, share, text):
    measured = row("odd", peers={"torch": ratio}, seconds=1.0)
    measured["limits"] = {"flops_per_s": 8e6 / share, "bytes_per_s": 1.0, "bytes": 0.0}
    assert [verdict.text for verdict in verdict.verdicts(measured, ZEN5)] == [text]
    measured["peers"] = {}
    assert [verdict.text for verdict in verdict.verdicts(measured, ZEN5)] == ["not measured"]


def test_error_tail_and_gradient_targets():
    result = {"seconds": 4e-6, "rounds": [4e-6] * 3, "error": 8e-3}
    measured = row("int8", "int8", own=1e-5, peers={"onnxruntime": result}, seconds=1e-6, error=3.9e-3)
    assert [table.bar_text(v) for v in verdict.verdicts(measured, ZEN5)][-1] == "<=0.50x error of ORT met (0.49)"
    training = row("bfloat16-training", "bfloat16", "training", (9, 1, 8, 8), own=1.0, seconds=1.0, gradients=0.02)
    assert [table.bar_text(v) for v in verdict.verdicts(training, ZEN5)] == ["<=1.0% of a gradient missed (2.0%)"]
    step = row("stack", "int8", "step", (1, 1, 128, 128), layers=2, own=1e-5, seconds=3e-6, p99=4.5e-6)
    texts = [table.bar_text(v) for v in verdict.verdicts(step, ZEN5)]
    assert texts == ["<=3.50 us met (3.00)", "<=1.30x median in p99 missed (1.50)"]


def test_format_row():
    peers = {
        "torch": {"problem": "not available: no int8"},
        "onnxruntime": {"seconds": 421e-6, "rounds": [421e-6] * 3, "error": 9.04e-3},
    }
    shape = (100, 1, 256, 256)
    measured = row("int8", "int8", shape=shape, own=892e-6, peers=peers, seconds=200e-6, error=3.2e-3)
    assert table.line(measured, ["torch", "onnxruntime"], ZEN5) == (
        "forward  100    1  256   256     200 us 3.2e-3            892 us                  -     421 us 9.0e-3 "
        "     ORT  2.10x     4.46x  >=1.50x met; >=2.50x baseline met (4.46); <=0.50x error of ORT met (0.35)"
    )


def test_stack_row_has_99th_percentile():
    peers = {"torch": {"seconds": 60e-6, "rounds": [60e-6] * 3, "p99": 90e-6}}
    measured = row("stack", kind="step", shape=(1, 1, 128, 128), layers=2, peers=peers, seconds=9.8e-6, p99=12.6e-6)
    words = "float32 1 1 128 2x128 9.80 us/12.6 us 60.0 us/90.0 us torch 6.12x - "
    words += "<=1.30x median in p99 met (1.29); >=1.05x met"
    assert " ".join(table.line(measured, ["torch"], ZEN5).split()) == words


def test_header_and_rows_have_the_same_columns():
    for regime in shapes.REGIMES:
        last = list(table.heading(regime, PEERS))[-1].removesuffix("  bars")
        measured = row(regime, "int8" if regime == "int8" else "float32", own=1.0, peers={"torch": 2.0}, seconds=1.0)
        assert table.line({**measured, "regime": regime}, PEERS, ZEN5)[: len(last) + 2].endswith("  ")


def test_unavailable_entrants_are_listed_with_reasons():
    problem = "not available: format must be 'float16', got 'int8'"
    measured = row("int8", "int8", own=892e-6, peers={"torch": 1e-3}, problem=problem)
    results = {"host": {**ZEN5, "processors": 2, "num_threads": 1, "date": "", "commit": "", "versions": {}}}
    results |= {"rows": [measured], "settings": {"peers": PEERS}}
    lines = list(table.all_lines(results))
    assert any(text.split()[:7] == ["forward", "100", "1", "64", "64", "-", "892"] for text in lines)
    assert f"  lstm_fast int8: {problem} (1 shape)" in lines
    assert "Bars: 0 met, 0 missed, 2 not measured; Zen 5, avx512." in "\n".join(lines)


def test_report_names_peers_that_may_have_used_amx():
    peers = {"torch": {"seconds": 1.0, "rounds": [1.0] * 3, "error": 1e-3, "has_amx": True}}
    measured = row("bfloat16", "bfloat16", own=1.0, peers=peers, seconds=1.0, error=1e-3)
    results = {"host": {**ZEN5}, "rows": [measured], "settings": {"peers": PEERS}}
    assert "May have used AMX: torch" in list(table.closing(results))


def test_instructions_are_read_from_the_system(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_vnni amx_int8\nbugs\t\t: avx512_bf16\n")
    assert host.instructions(path) == ["avx2", "avx512f", "avx512_vnni", "amx_int8"]
    path.write_text("Features\t: fp asimd asimddp\n")
    assert host.instructions(path) == ["asimd", "asimddp"]
    assert host.instructions(tmp_path / "none") == []


def test_joined_partial_results_equal_a_single_run():
    whole = json.loads((ROOT / "benchmarks/results/amd-epyc-zen5-2026-11-27-one-thread.json").read_text())
    pieces = [whole | {"rows": whole["rows"][k::3]} for k in range(3)]
    again = whole | {"rows": [whole["rows"][0] | {"reason": "measured again"}]}
    result = joined.join([*pieces, again])
    key = str
    assert sorted(result["rows"], key=key) == sorted([*again["rows"], *whole["rows"][1:]], key=key)
    regimes = [row["regime"] for row in result["rows"]]
    assert [a for a, b in zip(regimes, [None, *regimes]) if a != b] == list(dict.fromkeys(regimes)), "not in order"
    assert result["host"] == whole["host"] and result["settings"]["peers"] == whole["settings"]["peers"]
    other = whole | {"host": whole["host"] | {"num_threads": 2}}
    with pytest.raises(SystemExit, match="num_threads, got 1 and 2"):
        joined.join([whole, other])


def test_agreement_lists_rows_that_differ():
    runs = [[row("odd", seconds=t), row("odd", shape=(9, 9, 9, 9), seconds=1.0)] for t in (1.0, 1.2, 1.1)]
    lines = list(agreement.lines([{"rows": rows} for rows in runs]))
    assert lines[0] == "3 runs, 2 rows in all of them; 1 differ by more than 10%"
    assert lines[1].endswith("T=100 B=1 I=64 H=64: 1.00 s to 1.20 s, 18.2%") and len(lines) == 3


@pytest.mark.parametrize("path", sorted(ROOT.glob("benchmarks/results/*.json")), ids=lambda path: path.stem)
def test_committed_results_are_shown_with_current_targets(path):
    results = json.loads(path.read_text())
    lines = list(table.all_lines(results))
    assert len([text for text in lines if text.startswith(("forward", "step", "training", "block"))]) >= min(
        20, len(results["rows"])
    )
    assert any(text.startswith("Bars: ") for text in lines)
