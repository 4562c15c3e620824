r"""Plain recurrent networks by their dynamics: $h_t = \sigma(v_t + W_h h_{t-1} + b_h)$.

$\sigma$ is tanh or ReLU; $v_t$ is what the dynamics make of $y_t = W_x x_t + b_x$ (`dynamics.py`).
All have the parameters of `torch.nn.RNN` of their size, so that they exchange `state_dict`s,
learned coefficients apart.

Nguyen, Baraniuk, Bertozzi, Osher, Wang, "MomentumRNN: Integrating Momentum into Recurrent Neural
Networks", NeurIPS 2020.
"""

from typing import Any

from .cell import S, TorchCell
from .dynamics import Adam, Momentum, RMSProp
from .nesterov import Nesterov
from .recurrence import ReLURecurrence, TanhRecurrence
from .state import AdamHiddenState, HiddenState, MomentumHiddenState, NesterovHiddenState

RECURRENCES = {"tanh": TanhRecurrence(), "relu": ReLURecurrence()}


class RNNCell(TorchCell[S]):
    """What plain recurrent networks share.

    Args:
        nonlinearity: "tanh" or "relu".
        settings: those of `TorchCell`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        nonlinearity: str = "tanh",
        **settings: Any,
    ) -> None:
        if nonlinearity not in RECURRENCES:
            raise ValueError(
                f"nonlinearity is one of {', '.join(RECURRENCES)}, got {nonlinearity!r}"
            )
        self.mode_name = f"RNN_{nonlinearity.upper()}"
        self.recurrence = RECURRENCES[nonlinearity]
        super().__init__(input_size, hidden_size, num_layers, **settings)
        self.nonlinearity = nonlinearity

    def extra_repr(self) -> str:
        """Sizes, the dynamics and the nonlinearity."""
        return f"{super().extra_repr()}, nonlinearity={self.nonlinearity}"


class RNN(RNNCell[HiddenState]):
    """`torch.nn.RNN` itself. Its state is the tuple (h,), and may be given as h alone.

    Args are those of `RNNCell`.
    """

    state = HiddenState


class MomentumRNN(Momentum[MomentumHiddenState], RNNCell[MomentumHiddenState]):
    """An RNN driven by a velocity; momentum 0 and step 1 give the RNN back.

    Args are those of `Momentum` and `RNNCell`.
    """

    state = MomentumHiddenState


class NesterovRNN(Nesterov[NesterovHiddenState], RNNCell[NesterovHiddenState]):
    """An RNN driven by a velocity whose momentum grows with time, and restarts on schedule.

    Args are those of `Nesterov` and `RNNCell`.
    """

    state = NesterovHiddenState


class AdamRNN(Adam[AdamHiddenState], RNNCell[AdamHiddenState]):
    """An RNN driven as Adam drives parameters.

    Args are those of `Adam` and `RNNCell`.
    """

    state = AdamHiddenState


class RMSPropRNN(RMSProp[AdamHiddenState], RNNCell[AdamHiddenState]):
    """An `AdamRNN` without momentum: each unit hears its input over its running size.

    Args are those of `RMSProp` and `RNNCell`.
    """

    state = AdamHiddenState
