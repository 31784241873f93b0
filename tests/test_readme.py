"""README.md: its example runs, and its formulas are those of the reference."""

import re
from pathlib import Path

from lstm_fast import reference

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()


def test_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for example in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        exec(compile(example, "README.md", "exec"), names)


def test_formulas_stand_in_readme_and_reference_alike():
    formulas = re.search(r"(?: {4}\S.*\n){6}", reference.__doc__).group()
    assert formulas.lstrip().startswith("pre = ") and formulas in README
