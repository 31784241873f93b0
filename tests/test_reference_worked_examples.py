"""Steps of the reference computed by hand: the plain cells, each variant, and the vanishing gradient."""

import numpy as np
import pytest

from lstm_fast import reference

# ---- the plain cells -------------------------------------------------------------------------------------------------

TRAINED_UNIT = dict(
    weight_ih=np.array([[1.65], [1.63], [0.94], [-0.19]]),
    weight_hh=np.array([[2.00], [2.70], [1.41], [4.38]]),
    bias_ih=np.array([0.62, 1.62, -0.32, 0.59]),
    bias_hh=None,
)


def run_unit(x, h_0=0.0, c_0=0.0):
    x = np.reshape(np.asarray(x, dtype=float), (-1, 1, 1))
    return reference.lstm_forward(x, np.full((1, 1), h_0), np.full((1, 1), c_0), **TRAINED_UNIT)


def test_gates_of_one_step():
    output, h_n, c_n, tape = run_unit([1.0], h_0=1.0, c_0=2.0)
    for name, digits in dict(f=0.997, i=0.986, g=0.966, o=0.992, h=0.986).items():
        assert abs(getattr(tape, name).item() - digits) <= 0.0005, name
    assert abs(np.log(tape.f / (1 - tape.f)).item() - 5.95) < 1e-9
    assert abs(tape.c.item() - 2.95) <= 0.005
    assert output.item() == h_n.item() == tape.h.item() and c_n.item() == tape.c.item()


@pytest.mark.parametrize(
    "x, c, h",
    [
        pytest.param(
            [0, 0.5, 0.25, 1], [-0.201, -0.202, -0.325, 0.015], [-0.128, -0.097, -0.166, 0.006], id="company_a"
        ),
        pytest.param([1, 0.5, 0.25, 1], [0.500, 0.914, 1.481, 2.409], [0.276, 0.612, 0.867, 0.969], id="company_b"),
    ],
)
def test_states_over_four_days(x, c, h):
    output, h_n, c_n, tape = run_unit(x)
    np.testing.assert_allclose(tape.c.ravel(), c, rtol=0, atol=0.0005)
    np.testing.assert_allclose(output.ravel(), h, rtol=0, atol=0.0005)
    assert h_n.item() == output[-1].item() and c_n.item() == tape.c[-1].item()


@pytest.mark.parametrize("T", [1, 2, 50])
@pytest.mark.parametrize("weight_hh", [2.0, 0.5])
def test_gradient_of_an_identity_rnn_explodes_or_vanishes_with_the_recurrent_weight(weight_hh, T):
    x, h_0, d_output = np.ones((T, 1, 1)), np.zeros((1, 1)), np.zeros((T, 1, 1))
    d_output[-1] = 1
    *_, tape = reference.rnn_forward(x, h_0, np.array([[1.5]]), np.array([[weight_hh]]), None, None, "identity")
    gradients = reference.rnn_backward(tape, d_output)
    np.testing.assert_array_equal(gradients.d_x.ravel(), 1.5 * weight_hh ** np.arange(T - 1.0, -1.0, -1.0))


# ---- variants --------------------------------------------------------------------------------------------------------

# x = 1, h_0 = 2, c_0 = 3, and every activation is the identity: i = 3, f = 1, g = 4, o = 2, so
# c = 1 * 3 + 3 * 4 = 15 and h = 2 * 15 = 30.
UNIT = dict(
    x=np.ones((1, 1, 1)),
    h_0=np.full((1, 1), 2.0),
    c_0=np.full((1, 1), 3.0),
    weight_ih=np.array([[1.0], [2], [2], [1]]),
    weight_hh=np.array([[1.0], [-0.5], [1], [0.5]]),
    bias_ih=None,
    bias_hh=None,
    activation="affine",
    recurrent_activation="affine",
    cell_activation="affine",
)
PEEPHOLES = dict(weight_peephole=np.array([1, -1, 0.5]))  # i = 3 + 3, f = 1 - 3, o = 2 + c / 2


@pytest.mark.parametrize(
    "options, c, h",
    [
        pytest.param({}, 15, 30, id="plain"),
        pytest.param(PEEPHOLES, 18, 11 * 18, id="peepholes"),
        pytest.param(dict(coupled_gates=True), 6, 12, id="coupled_gates"),  # f = -2
        pytest.param(dict(cell_clip=10), 10, 20, id="cell_clip"),
        pytest.param(PEEPHOLES | dict(cell_clip=10), 10, 7 * 10, id="output_gate_sees_the_clipped_cell"),
        # i = g = 2.5; c is clipped neither here nor in h
        pytest.param(dict(gate_clip=2.5), 9.25, 18.5, id="gate_clip"),
        pytest.param(PEEPHOLES | dict(gate_clip=2.5), 0.25, 2.125 * 0.25, id="gate_clip_after_peepholes"),
        pytest.param(dict(weight_hr=np.array([[0.5]])), 15, 15, id="projection"),
        pytest.param(dict(recurrent_mask=[[2.0]]), 30, 90, id="recurrent_dropout"),  # i = 5, f = 0, g = 6, o = 3
        pytest.param(dict(zoneout_c_mask=[[[1]]]), 3, 30, id="zoneout_of_c_keeps_the_new_h"),
        pytest.param(dict(zoneout_h_mask=[[[1]]]), 15, 2, id="zoneout_of_h_keeps_the_new_c"),
        pytest.param(dict(norm_c_weight=[5.0], norm_c_bias=[7.0]), 15, 14, id="norm_of_a_single_c_is_the_bias"),
        # x W_ih^T = 1, 2, 2, 1 has mean 1.5 and deviation 0.5: -1, 1, 1, -1 normalized. i = 1, f = 1, g = 3, o = 4.
        pytest.param(dict(norm_ih_weight=[1.0, 2, 1, -3], x=np.full((1, 1, 1), 1e6)), 6, 24, id="norm_ih"),
        # Here the variance x * x / 4 is 1e-5, which epsilon doubles: again i = 1, f = 1, g = 3, o = 4 by a factor
        # sqrt(2).
        pytest.param(
            dict(norm_ih_weight=np.sqrt(2) * np.array([1, 2, 1, -3]), x=np.full((1, 1, 1), np.sqrt(4e-5))),
            6,
            24,
            id="norm_adds_1e-5_to_the_variance",
        ),
        # h_0 W_hh^T = 2, -1, 2, 1 times 1e6: mean 1, deviation sqrt(1.5). i = 1 + 2, f = 2 - 4, g = 2 + 2, o = 1.
        pytest.param(dict(norm_hh_weight=np.full(4, 2 * np.sqrt(1.5)), h_0=np.full((1, 1), 2e6)), 6, 6, id="norm_hh"),
        pytest.param(dict(resets=[[True]]), 2, 2, id="reset"),  # i = 1, g = 2, o = 1 from h = c = 0
        pytest.param(
            dict(resets=[[True]], learned_h_0=[2.0], learned_c_0=[3.0], h_0=[[9.0]], c_0=[[9.0]]),
            15,
            30,
            id="reset_to_the_learned_state",
        ),
        pytest.param(dict(learned_h_0=[9.0], learned_c_0=[9.0]), 15, 30, id="given_state_overrides_the_learned_one"),
        pytest.param(dict(learned_h_0=[2.0], learned_c_0=[3.0], h_0=None, c_0=None), 15, 30, id="learned_state"),
        pytest.param(dict(h_0=None, c_0=None), 2, 2, id="missing_state_is_zero"),
        pytest.param(dict(activation=("affine", 2, 1)), 3 + 3 * 9, 2 * 30, id="activation_of_g"),
        pytest.param(
            dict(recurrent_activation=("affine", 2, 1)), 9 + 7 * 4, 5 * 37, id="recurrent_activation_of_i_f_o"
        ),
        pytest.param(dict(cell_activation=("affine", 2, 1)), 15, 2 * 31, id="cell_activation_of_c"),
        pytest.param(
            dict(coupled_gates=True, recurrent_activation=("affine", 2, 1)),
            -6 * 3 + 7 * 4,
            5 * 10,
            id="coupled_gates_use_one_activation",
        ),
    ],
)
def test_one_step_of_each_variant(options, c, h):
    output, h_n, c_n, tape = reference.lstm_forward(**UNIT | options)
    np.testing.assert_allclose([c_n.item(), h_n.item()], [c, h], rtol=1e-9)
    assert output.item() == h_n.item() == tape.h.item() and c_n.item() == tape.c.item()


def test_rnn_steps():
    unit = dict(
        x=np.ones((1, 1, 1)),
        h_0=np.full((1, 1), 2.0),
        weight_ih=np.array([[3.0]]),
        weight_hh=np.array([[0.5]]),
        bias_ih=None,
        bias_hh=None,
        nonlinearity="identity",
    )
    for options, h in (
        ({}, 4),
        (dict(recurrent_mask=[[2.0]]), 5),
        (dict(zoneout_h_mask=[[[1]]]), 2),
        (dict(resets=[[True]]), 3),
        (dict(resets=[[True]], learned_h_0=[4.0]), 5),
        (dict(h_0=None, learned_h_0=[4.0]), 5),
        (dict(h_0=None), 3),
        (dict(lengths=[0]), 2),
    ):
        _, h_n, _ = reference.rnn_forward(**unit | options)
        assert h_n.item() == h, options


def test_zoneout_keeps_the_state_after_a_reset():
    learned, masks = dict(learned_h_0=[5.0], learned_c_0=[6.0]), dict(zoneout_h_mask=[[[1]]], zoneout_c_mask=[[[1]]])
    _, h_n, c_n, _ = reference.lstm_forward(**UNIT, **learned, **masks, resets=[[True]])
    assert (h_n.item(), c_n.item()) == (5, 6)


def test_no_gradient_flows_through_a_cell_exactly_at_its_bound():
    unit = {name: value for name, value in UNIT.items() if name != "x"}
    for bound, flows in ((15, False), (np.nextafter(15, 16), True)):
        _, _, c_n, tape = reference.lstm_forward(UNIT["x"], **unit, cell_clip=bound)
        assert c_n.item() == 15
        assert bool(reference.lstm_backward(tape, None, None, np.ones((1, 1))).d_c_0.any()) == flows
