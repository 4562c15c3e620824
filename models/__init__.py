"""Networks, tasks, and one training run as a generator of metrics. Knows nothing of searches."""

from .adaptive import AdamLSTM, AdamState, RMSPropLSTM, adam_lstm_loop, largest_drive
from .cell import RecurrentCell
from .classifier import SequenceClassifier, SequenceTagger
from .divergence import Diverged
from .language import LanguageModel
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
from .tasks import (
    MNIST,
    Adding,
    Copying,
    Digits,
    Language,
    ListOps,
    Repeat,
    Speech,
    Split,
    Stream,
    Task,
)
from .training import build, evaluate, fit, seeded

__all__ = [
    "LSTM",
    "MNIST",
    "AdamLSTM",
    "AdamState",
    "Adding",
    "Copying",
    "Digits",
    "Diverged",
    "LSTMState",
    "Language",
    "LanguageModel",
    "ListOps",
    "MomentumLSTM",
    "MomentumState",
    "NesterovLSTM",
    "NesterovState",
    "RMSPropLSTM",
    "RecurrentCell",
    "Repeat",
    "SequenceClassifier",
    "SequenceTagger",
    "Speech",
    "Split",
    "Stream",
    "Task",
    "adam_lstm_loop",
    "build",
    "evaluate",
    "fit",
    "largest_drive",
    "momentum_lstm_loop",
    "nesterov_lstm_loop",
    "nesterov_momentum",
    "seeded",
    "velocity",
    "velocity_loop",
]
