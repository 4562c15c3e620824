r"""GRUs by their dynamics: the gates r, z and the candidate n hear a velocity of the input.

With $v_t \in R^{3H}$ what the dynamics make of $y_t = W_x x_t + b_x$ (`dynamics.py`), in order
r, z, n, and $u_t = W_h h_{t-1} + b_h$:

$$r_t = \sigma(v_r + u_r), \quad z_t = \sigma(v_z + u_z), \quad n_t = \tanh(v_n + r_t u_n), \qquad
h_t = n_t + z_t (h_{t-1} - n_t).$$

The paper has no such cell; this is its rule, drive becomes velocity, on Cho et al. 2014's GRU. All
have the parameters of `torch.nn.GRU` of their size, so that they exchange `state_dict`s, learned
coefficients apart.
"""

from .cell import S, TorchCell
from .dynamics import Adam, Momentum, RMSProp
from .nesterov import Nesterov
from .recurrence import GRURecurrence
from .state import AdamHiddenState, HiddenState, MomentumHiddenState, NesterovHiddenState


class GRUCell(TorchCell[S]):
    """What GRUs share."""

    mode_name = "GRU"
    recurrence = GRURecurrence()


class GRU(GRUCell[HiddenState]):
    """`torch.nn.GRU` itself. Its state is the tuple (h,), and may be given as h alone.

    Args are those of `TorchCell`.
    """

    state = HiddenState


class MomentumGRU(Momentum[MomentumHiddenState], GRUCell[MomentumHiddenState]):
    """A GRU driven by a velocity; momentum 0 and step 1 give the GRU back.

    Args are those of `Momentum` and `TorchCell`.
    """

    state = MomentumHiddenState


class NesterovGRU(Nesterov[NesterovHiddenState], GRUCell[NesterovHiddenState]):
    """A GRU driven by a velocity whose momentum grows with time, and restarts on schedule.

    Args are those of `Nesterov` and `TorchCell`.
    """

    state = NesterovHiddenState


class AdamGRU(Adam[AdamHiddenState], GRUCell[AdamHiddenState]):
    """A GRU driven as Adam drives parameters.

    Args are those of `Adam` and `TorchCell`.
    """

    state = AdamHiddenState


class RMSPropGRU(RMSProp[AdamHiddenState], GRUCell[AdamHiddenState]):
    """An `AdamGRU` without momentum: each gate hears its input over its running size.

    Args are those of `RMSProp` and `TorchCell`.
    """

    state = AdamHiddenState
