"""Write docs/vectors/*.json: test vectors with the bits of this build (see docs/vectors/README.md).

python docs/vectors.py. The bits are guaranteed: run this only after a deliberate change of the definition of a result,
and record the change in CHANGELOG.md.
"""

import json
from pathlib import Path

from lstm_fast import _core, _vectors

FOLDER = Path(__file__).resolve().parent / "vectors"
SMALL = dict(input_size=3, hidden_size=19)  # 19: two vectors of 16 lanes, the second with three
CALL = dict(shape=[5, 3], call="backward")


def case(name, network="LSTM", call=CALL, **options):
    return dict(name=name, network=network, options=SMALL | options, **call)


def layers():
    for dtype in ("float32", "float64"):
        yield case(f"LSTM {dtype}", dtype=dtype)
        yield case(f"two layers, both directions {dtype}", num_layers=2, bidirectional=True, dtype=dtype)
        yield case(f"projection {dtype}", proj_size=7, dtype=dtype)
        for nonlinearity in ("tanh", "relu"):
            yield case(f"RNN {nonlinearity} {dtype}", "RNN", nonlinearity=nonlinearity, dtype=dtype)
    yield case("no bias", bias=False)
    yield case("no state", call=CALL | dict(no_state=True))
    yield case("lengths", call=CALL | dict(lengths=[2, 5, 0]))
    yield case("resets", call=CALL | dict(resets=[1, 6, 7, 14]))
    yield case("batch_first stream of two layers", num_layers=2, call=CALL | dict(call="stream"))
    yield case("one unit", call=dict(shape=[7, 1], call="backward"), input_size=1, hidden_size=1)
    yield case("wide", call=dict(shape=[9, 33], call="backward"), input_size=20, hidden_size=70)


def variants():
    for name, options in {
        "peepholes": dict(peepholes=True),
        "layer norm": dict(layer_norm=True),
        "coupled gates": dict(coupled_gates=True),
        "clipped": dict(cell_clip=0.2, gate_clip=0.4),
        "learned state": dict(learn_initial_state=True),
        "hard sigmoid": dict(recurrent_activation="hard_sigmoid"),
        "softsign": dict(activation="softsign", cell_activation="softsign"),
        "elu": dict(activation=["elu", 0.5]),
        "all": dict(
            peepholes=True, layer_norm=True, cell_clip=0.5, learn_initial_state=True, proj_size=5, num_layers=2
        ),
    }.items():
        yield case(name, **options, call=CALL | dict(no_state="learned" in name or name == "all"))


def formats():
    for name, words in {
        "float16": dict(format="float16", inputs="float32"),
        "bfloat16": dict(format="bfloat16", inputs="float32"),
        "int8": dict(format="int8", inputs="float32"),
        "int8, int16 inputs": dict(format="int8", inputs="int16"),
        "int8, int8 inputs": dict(format="int8", inputs="int8"),
    }.items():
        yield case(name, call=dict(shape=[5, 3], call="forward", **words))
        yield case(
            f"{name}, two layers", call=dict(shape=[5, 9], call="forward", **words), num_layers=2, hidden_size=37
        )
    yield case("training in bfloat16", compute_dtype="bfloat16")
    yield case("training in bfloat16, projection", compute_dtype="bfloat16", proj_size=7, num_layers=2)


def bfloat16_amx():
    words = dict(format="bfloat16_amx", inputs="float32")
    for name, shape, options in (
        ("one layer", [5, 3], dict()),
        ("two layers", [5, 9], dict(num_layers=2, hidden_size=37)),
        ("both directions, odd sizes", [4, 17], dict(bidirectional=True, input_size=33, hidden_size=67)),
    ):
        yield case(f"bfloat16_amx, {name}", call=dict(shape=shape, call="forward", **words), **options)
        yield case(
            f"training in bfloat16_amx, {name}",
            call=dict(shape=shape, call="backward"),
            compute_dtype="bfloat16_amx",
            **options,
        )
    yield case("training in bfloat16_amx, projection", compute_dtype="bfloat16_amx", proj_size=7, num_layers=2)


def dropout():
    masks = CALL | dict(mask_seed=7)
    yield case("dropout between layers", num_layers=2, dropout=0.4, call=masks)
    yield case("recurrent dropout", recurrent_dropout=0.3, call=masks)
    yield case("zoneout", zoneout=[0.1, 0.4], call=masks)
    yield case(
        "all masks, float64", num_layers=2, dropout=0.4, recurrent_dropout=0.3, zoneout=0.2, dtype="float64", call=masks
    )


def training():
    """100 steps: 20 epochs of 5 batches."""
    adam = dict(optimizer="Adam", optimizer_options=dict(lr=0.01), epochs=20, batch_size=8, loss="mse")
    sgd = adam | dict(optimizer="SGD", optimizer_options=dict(lr=0.05, momentum=0.9), loss="huber", clip_norm=0.5)
    adam_w = adam | dict(optimizer="AdamW", optimizer_options=dict(lr=0.01, weight_decay=0.1), lr_schedule="linear")
    for name, fit, options in (
        ("Adam", adam, dict()),
        ("SGD with momentum and clipping", sgd, dict(num_layers=2, bidirectional=True)),
        ("AdamW with dropout", adam_w, dict(num_layers=2, dropout=0.2)),
        ("Adam in bfloat16", adam, dict(compute_dtype="bfloat16")),
        ("Adam in float64", adam, dict(dtype="float64")),
    ):
        call = dict(shape=[6, 40], fit=fit, out_features=2, readout="mean" if "SGD" in name else "last")
        yield case(name, call=call, **options)


GROUPS = (layers, variants, formats, bfloat16_amx, dropout, training)


def expected(one):
    """The results of both kinds: with fused multiply-adds, and of the portable kernels, which round each product."""
    result = {}
    for isa in ("portable", _core.use_isa(None)):
        _core.use_isa(isa)
        result[_vectors.kind_of(isa)] = {name: _vectors.record(array) for name, array in _vectors.compute(one).items()}
    assert len(result) == 2, "this machine has no instruction set with fused multiply-adds"
    return result


def main():
    for group in GROUPS:
        cases = [one | {"expected": expected(one)} for one in group()]
        lines = ",\n".join(json.dumps(one, separators=(",", ":")) for one in cases)
        text = f'{{"format":"lstm_fast vectors 1","cases":[\n{lines}\n]}}\n'
        (FOLDER / f"{group.__name__}.json").write_text(text, encoding="utf-8")
        print(f"{group.__name__}: {len(cases)} cases, {len(text)} bytes")


if __name__ == "__main__":
    main()
