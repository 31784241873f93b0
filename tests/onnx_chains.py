"""Chains of operators between the constants of an ONNX model and an LSTM node."""

import numpy as np
from onnx import TensorProto, helper

from onnx_models import constant, tensor


def chains(w):
    """By name: nodes that compute "W" from initializers, and the initializers, for the array w (D, 4H, I)."""
    D, G, I = w.shape
    node = helper.make_node
    yield "Identity", [node("Identity", ["w"], ["a"]), node("Identity", ["a"], ["W"])], {"w": w}, 22
    yield "Constant", [constant("W", w)], {}, 22
    yield "Unsqueeze", [node("Unsqueeze", ["flat", "axes"], ["W"])], {"flat": w[0], "axes": np.array([0])}, 22
    yield "Unsqueeze 11", [node("Unsqueeze", ["flat"], ["W"], axes=[0])], {"flat": w[0]}, 11
    yield "Squeeze", [node("Squeeze", ["w", "axes"], ["W"])], {"w": w[:, :, None], "axes": np.array([2])}, 22
    yield "Squeeze 11", [node("Squeeze", ["w"], ["W"], axes=[-1])], {"w": w[..., None]}, 11
    yield (
        "Reshape",
        [node("Reshape", ["w", "sizes"], ["W"])],
        {"w": w.reshape(-1, I), "sizes": np.array([D, -1, I])},
        22,
    )
    yield (
        "Reshape 0",
        [node("Reshape", ["w", "sizes"], ["W"])],
        {"w": w.reshape(D, -1), "sizes": np.array([0, -1, I])},
        22,
    )
    yield (
        "Reshape by Shape",
        [node("Shape", ["like"], ["sizes"]), node("Reshape", ["w", "sizes"], ["W"])],
        {"w": w.ravel(), "like": w},
        22,
    )
    yield "Transpose", [node("Transpose", ["w"], ["W"], perm=[2, 1, 0])], {"w": w.transpose(2, 1, 0)}, 22
    yield (
        "Concat",
        [node("Concat", ["i", "o", "fc"], ["W"], axis=-2)],
        {"i": w[:, : G // 4], "o": w[:, G // 4 : G // 2], "fc": w[:, G // 2 :]},
        22,
    )
    yield (
        "Slice",
        [node("Slice", ["w", "s", "e", "a"], ["W"])],
        {"w": np.concatenate([w, w], 1), "s": np.array([-G]), "e": np.array([2**62]), "a": np.array([1])},
        22,
    )
    yield (
        "Slice backwards",
        [node("Slice", ["w", "s", "e", "a", "d"], ["W"])],
        {"w": w[:, ::-1], "s": np.array([-1]), "e": np.array([-(2**62)]), "a": np.array([1]), "d": np.array([-1])},
        22,
    )
    yield (
        "Slice 9",
        [node("Slice", ["w"], ["W"], starts=[1], ends=[99999], axes=[2])],
        {"w": np.concatenate([w[..., :1], w], 2)},
        9,
    )
    yield (
        "Split",
        [node("Split", ["w", "n"], ["a", "W"], axis=1)],
        {"w": np.concatenate([w[:, :3], w], 1), "n": np.array([3, G])},
        22,
    )
    yield (
        "Split 11",
        [node("Split", ["w"], ["a", "W"], axis=1, split=[3, G])],
        {"w": np.concatenate([w[:, :3], w], 1)},
        11,
    )
    yield "Split 18", [node("Split", ["w"], ["a", "W"], axis=0, num_outputs=2)], {"w": np.concatenate([w, w])}, 18
    yield "Gather", [node("Gather", ["w", "k"], ["W"], axis=1)], {"w": w[:, ::-1], "k": np.arange(G)[::-1]}, 22
    yield (
        "Flatten",
        [node("Flatten", ["w"], ["a"], axis=1), node("Unsqueeze", ["a", "axes"], ["W"])],
        {"w": w[0].reshape(G, I, 1), "axes": np.array([0])},
        22,
    )
    yield "Cast", [node("Cast", ["w"], ["W"], to=TensorProto.FLOAT)], {"w": w.astype(np.float64)}, 22
    yield "Cast 1", [node("Cast", ["w"], ["W"], to="FLOAT")], {"w": w.astype(np.float64)}, 1
    yield "Expand", [node("Expand", ["w", "sizes"], ["W"])], {"w": w[:, :1], "sizes": np.array([1, G, 1])}, 22
    yield (
        "ConstantOfShape",
        [node("ConstantOfShape", ["sizes"], ["W"], value=tensor(np.float32([0.1])))],
        {"sizes": np.array(w.shape)},
        22,
    )
    yield (
        "Add, Sub, Mul, Neg",
        [
            node("Neg", ["w"], ["a"]),
            node("Mul", ["a", "two"], ["b"]),
            node("Sub", ["b", "a"], ["c"]),
            node("Add", ["c", "zero"], ["d"]),
            node("Neg", ["d"], ["W"]),
        ],
        {"w": w, "two": np.float32(2), "zero": np.zeros((1, 1, I), np.float32)},
        22,
    )


def dequantized_chain(w, per_channel, dtype):
    rng = np.random.default_rng(1)
    q = rng.integers(*(-100, 100) if dtype == np.int8 else (0, 200), w.shape).astype(dtype)
    shape = (w.shape[1],) if per_channel else ()
    arrays = {
        "q": q,
        "scale": rng.uniform(0.001, 0.003, shape).astype(np.float32),
        "zero": rng.integers(0, 60, shape).astype(dtype),
    }
    return [helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["W"], axis=1)], arrays
