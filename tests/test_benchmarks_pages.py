"""The tables of docs/performance.md from result files with low-precision formats."""

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / "benchmarks"), str(ROOT / "docs")]

markdown, performance = import_module("comparison.markdown"), import_module("performance")


def row(regime, kind, format, ours, own, peer, layers=1, **sizes):
    name = "lstm_fast" if format == "float32" else f"lstm_fast {format}"
    times = {name: ours, "openvino": peer, **({"lstm_fast": own} if own else {})}
    for result in times.values():
        result["rounds"] = [result["seconds"]] * 3
    return {
        "regime": regime,
        "kind": kind,
        "format": format,
        "layers": layers,
        **dict(T=1, B=1, I=128, H=128),
        **sizes,
        "flops": 1,
        "ours": name,
        "own": "lstm_fast" if own else None,
        "own_work": 1,
        "peers": {"openvino": "openvino"},
        "times": times,
    }


@pytest.fixture
def results():
    ours, peer = {"seconds": 2e-4, "error": 1.2e-3}, {"seconds": 3e-4, "error": 2.5e-3, "has_amx": True}
    step = {"seconds": 3e-6, "error": 1.1e-3, "p99": 4e-6}
    training = {"seconds": 2e-4, "error": 4e-3, "gradients": 3.1e-3}
    slow = {"seconds": 1e-4, "error": 4e-3, "gradients": 5e-3}
    return {
        "host": {"cpu": "Zen 5", "date": "2026-11-28 10:00", "instructions": ["avx512f", "amx_bf16"], "num_threads": 1},
        "rows": [
            row("bfloat16", "forward", "bfloat16", ours, {"seconds": 4e-4}, peer, T=100),
            row("stack", "step", "int8", step, {"seconds": 9e-6}, {"seconds": 3e-5, "p99": 5e-5}, layers=2),
            row("bfloat16-training", "training", "bfloat16", training, {"seconds": 3e-4}, slow, T=9, B=32),
        ],
    }


def test_format_tables(results):
    lines = list(markdown.format_sections(results))
    assert [text for text in lines if text.startswith("#")] == [
        "### bfloat16, inference",
        "### bfloat16, forward and backward",
        "### One step of several layers",
    ]
    assert "| 100, 1, 128, 128 | forward | 200 µs | 2.00 × | 1.50 × OpenVINO | 1.2e-3 | 2.5e-3 | 0.0% |" in lines
    assert (
        "| 9, 32, 128, 128 | forward and backward | 200 µs | 1.50 × | 0.50 × OpenVINO | 3.1e-3 | 5.0e-3 | 0.0% |"
        in lines
    )
    assert "| 2 × 128 | int8 | 3.00 µs | 4.00 µs | 3.00 × | 10.00 × OpenVINO | 50.0 µs | 1.1e-3 |" in lines
    tables = [text.count("|") for text in lines if text.startswith("|")]
    assert set(tables) == {9}


def test_shapes_not_timed_by_us_are_omitted(results):
    results["rows"][0]["times"]["lstm_fast bfloat16"] = {"problem": "not available: not in this version"}
    assert "### bfloat16, inference" not in list(markdown.format_sections(results))


def test_shapes_without_a_peer_are_marked(results):
    results["rows"][0]["times"]["openvino"] = {"problem": "not available: no bfloat16"}
    lines = list(markdown.format_sections(results))
    assert "| 100, 1, 128, 128 | forward | 200 µs | 2.00 × | - | 1.2e-3 | - | 0.0% |" in lines


def test_page_shows_the_formats_of_every_result_file(results, tmp_path, monkeypatch):
    (tmp_path / "zen5.json").write_text(json.dumps(results))
    (tmp_path / "old.json").write_text(json.dumps({"host": {}, "rows": []}))
    monkeypatch.setattr(performance, "RESULTS", tmp_path)
    text = performance.formats(["old", "zen5"])
    assert text.count("benchmarks/results/") == 1
    assert "`benchmarks/results/zen5.json`, 2026-11-28: Zen 5 with avx512f amx_bf16, 1 thread(s)." in text
    assert "May have used AMX: openvino." in text and "### bfloat16, inference" in text
    assert performance.formats(["old"]) == ""
    assert list(performance.all_losses([], ["old", "zen5"])) == [
        "* `zen5.json`, bfloat16, 1 of 2 shapes: training T=9 B=32 I=128 H=128 (0.50 × OpenVINO).",
        "* `zen5.json`, int8, 0 of 1 shapes: none.",
    ]
