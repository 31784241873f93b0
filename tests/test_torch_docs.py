"""The docstrings of lstm_fast.torch: numpydoc form, examples that run."""

import pytest

from docstring_checks import check_docstring, check_examples, documented, modules

METHODS = ["LSTM.forward", "LSTM.flatten_parameters", "LSTMCell.forward", "Report.accelerated", "Report.left"]


@pytest.mark.parametrize("module", modules("lstm_fast.torch"))
def test_examples_run(module):
    check_examples(module)


@pytest.mark.filterwarnings("ignore")  # numpydoc's own
@pytest.mark.parametrize("name", [*documented("lstm_fast.torch"), *METHODS])
def test_public_name_is_documented(name):
    pytest.importorskip("numpydoc")
    check_docstring(f"lstm_fast.torch.{name}")
