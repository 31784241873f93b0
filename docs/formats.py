"""Write the tables of errors and sizes in docs/formats.md: python docs/formats.py

The figures are computed here, and the same on every machine whose instruction set has fused multiply-add.
"""

import re
from pathlib import Path

import numpy as np

import lstm_fast as lf

PAGE = Path(__file__).resolve().parent / "formats.md"
SIZES = (64, 128, 256, 512)
FORMATS = {
    "float16": ("float16", "float32"),
    "bfloat16": ("bfloat16", "float32"),
    "bfloat16_amx": ("bfloat16_amx", "float32"),
    "int8": ("int8", "float32"),
    'int8, `inputs="int16"`': ("int8", "int16"),
    'int8, `inputs="int8"`': ("int8", "int8"),
}


def table(cell):
    """Markdown with a row for each format and a column for each size."""
    head = "| | " + " | ".join(f"H = {H}" for H in SIZES) + " |\n|---" + "|---" * len(SIZES) + "|\n"
    return head + "\n".join(
        f"| {name} | " + " | ".join(cell(H, format, inputs) for H in SIZES) + " |"
        for name, (format, inputs) in FORMATS.items()
    )


def error(H, format, inputs):
    lstm = lf.LSTM(H, H, seed=H)
    x = np.random.default_rng(H).standard_normal((100, 4, H)).astype(np.float32)
    difference = lstm.quantized(format, inputs=inputs)(x)[0].astype(np.float64) - lstm(x)[0]
    return f"{np.abs(difference).max():.1e} / {np.sqrt(np.mean(difference**2)):.1e}"


def share(H, format, inputs):
    lstm = lf.LSTM(H, H, seed=H)
    return f"{lstm.quantized(format, inputs=inputs).nbytes / lstm.flat_parameters.nbytes:.1%}"


def page(text):
    """The page with tables of the figures of this version."""
    for mark, cell in (("errors", error), ("bytes", share)):
        text = re.sub(
            rf"(<!-- {mark} -->\n).*?(<!-- end -->)", rf"\g<1>\n{table(cell)}\n\n\g<2>", text, flags=re.DOTALL
        )
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
