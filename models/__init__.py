"""Networks, tasks, and one training run as a generator of metrics. Knows nothing of searches."""

from .cell import RecurrentCell
from .classifier import SequenceClassifier
from .momentum import nesterov_momentum, velocity, velocity_loop
from .recurrent import (
    LSTM,
    LSTMState,
    MomentumLSTM,
    MomentumState,
    NesterovLSTM,
    NesterovState,
    momentum_lstm_loop,
    nesterov_lstm_loop,
)
from .tasks import Digits, Split, Task
from .training import Diverged, build, evaluate, fit, seeded

__all__ = [
    "LSTM",
    "Digits",
    "Diverged",
    "LSTMState",
    "MomentumLSTM",
    "MomentumState",
    "NesterovLSTM",
    "NesterovState",
    "RecurrentCell",
    "SequenceClassifier",
    "Split",
    "Task",
    "build",
    "evaluate",
    "fit",
    "momentum_lstm_loop",
    "nesterov_lstm_loop",
    "nesterov_momentum",
    "seeded",
    "velocity",
    "velocity_loop",
]
