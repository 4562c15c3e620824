"""Networks, tasks, and one training run as a generator of metrics. Knows nothing of searches."""

from .classifier import SequenceClassifier
from .momentum import velocity, velocity_loop
from .recurrent import (
    LSTM,
    LSTMState,
    MomentumLSTM,
    MomentumState,
    RecurrentCell,
    momentum_lstm_loop,
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
    "RecurrentCell",
    "SequenceClassifier",
    "Split",
    "Task",
    "build",
    "evaluate",
    "fit",
    "momentum_lstm_loop",
    "seeded",
    "velocity",
    "velocity_loop",
]
