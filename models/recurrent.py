r"""LSTMs by their dynamics: one family, the same parameters.

The gates of an LSTM (order i, f, g, o) hear a drive, which the dynamics make of
$y_t = W_x x_t + b_x \in R^{4H}$ (`dynamics.py`; momentum's is $v_t = \mu v_{t-1} + s y_t$):

$$a_t = v_t + W_h h_{t-1} + b_h, \qquad
c_t = \sigma(f) c_{t-1} + \sigma(i) \tanh(g), \qquad h_t = \sigma(o) \tanh(c_t).$$

All have the parameters of `torch.nn.LSTM` of their size, under the same names, initialised alike,
so that they exchange `state_dict`s, learned coefficients apart.

Nguyen, Baraniuk, Bertozzi, Osher, Wang, "MomentumRNN: Integrating Momentum into Recurrent Neural
Networks", NeurIPS 2020.
"""

from .cell import S, TorchCell
from .dynamics import Adam, Momentum, RMSProp
from .nesterov import Nesterov
from .recurrence import LSTMRecurrence
from .state import AdamState, LSTMState, MomentumState, NesterovState


class LSTMCell(TorchCell[S]):
    """What LSTMs share."""

    mode_name = "LSTM"
    recurrence = LSTMRecurrence()


class LSTM(LSTMCell[LSTMState]):
    """`torch.nn.LSTM` itself: its parameters, its initialisation, its kernel, its (h, c) state.

    Args are those of `TorchCell`.
    """

    state = LSTMState


class MomentumLSTM(Momentum[MomentumState], LSTMCell[MomentumState]):
    """An LSTM whose gates are driven by a velocity; momentum 0 and step 1 give the LSTM back.

    Args are those of `Momentum` and `TorchCell`.
    """

    state = MomentumState


class NesterovLSTM(Nesterov[NesterovState], LSTMCell[NesterovState]):
    """An LSTM driven by a velocity whose momentum grows with time, and restarts on schedule.

    Restart 1 and step 1 give the LSTM back. Args are those of `Nesterov` and `TorchCell`.
    """

    state = NesterovState


class AdamLSTM(Adam[AdamState], LSTMCell[AdamState]):
    """An LSTM whose gates are driven as Adam drives parameters.

    Args are those of `Adam` and `TorchCell`.
    """

    state = AdamState


class RMSPropLSTM(RMSProp[AdamState], LSTMCell[AdamState]):
    """An `AdamLSTM` without momentum: each gate hears its input over its running size.

    Args are those of `RMSProp` and `TorchCell`.
    """

    state = AdamState
