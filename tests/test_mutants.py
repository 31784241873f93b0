"""A deliberately broken kernel must make the suite fail. mutants.py has many more."""

import subprocess

import pytest

from checkout import ROOT, copy_source
from mutants import MUTANTS
from mutate import run_mutant
from optional import needs


def test_every_mutant_matches_once_in_its_file():
    for name, mutant in MUTANTS.items():
        assert (ROOT / mutant.file).read_text().count(mutant.right) == 1, name


@needs("Cython")  # without it pip would fetch it for the build
def test_flipped_sign_in_a_derivative_fails_the_gradient_tests(tmp_path):
    copy_source(tmp_path)
    mutant = MUTANTS["sign in the derivative of tanh"]
    try:
        done = run_mutant(tmp_path, mutant)
    except subprocess.CalledProcessError as error:
        pytest.fail(error.stderr.decode())
    assert done.returncode == 1, done.stdout + done.stderr
    assert "test_backward_float64_matches_complex_step" in done.stdout
    assert "d_weight_ih_l0 of" in done.stdout or "d_bias_hh_l0 of" in done.stdout, "the failing gradient is named"
