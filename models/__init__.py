"""Networks, tasks, and one training run as a generator of metrics. Knows nothing of searches."""

from .adaptive import largest_drive
from .cell import RecurrentCell
from .classifier import SequenceClassifier, SequenceTagger
from .divergence import Diverged
from .gradient_flow import gradient_flow
from .gru import GRU, AdamGRU, MomentumGRU, NesterovGRU, RMSPropGRU
from .language import LanguageModel
from .learned import Learned
from .loops import adam_lstm_loop, momentum_lstm_loop, nesterov_lstm_loop
from .momentum import nesterov_momentum, velocity, velocity_loop
from .orthogonal import DTRIV, AdamDTRIV, MomentumDTRIV, NesterovDTRIV, RMSPropDTRIV
from .recurrent import LSTM, AdamLSTM, MomentumLSTM, NesterovLSTM, RMSPropLSTM
from .rnn import RNN, AdamRNN, MomentumRNN, NesterovRNN, RMSPropRNN
from .state import (
    AdamHiddenState,
    AdamState,
    HiddenState,
    LSTMState,
    MomentumHiddenState,
    MomentumState,
    NesterovHiddenState,
    NesterovState,
)
from .tasks import MNIST, Adding, Copying, Digits, Language, Speech, Split, Stream, Task
from .training import build, evaluate, fit, seeded

__all__ = [
    "DTRIV",
    "GRU",
    "LSTM",
    "MNIST",
    "RNN",
    "AdamDTRIV",
    "AdamGRU",
    "AdamHiddenState",
    "AdamLSTM",
    "AdamRNN",
    "AdamState",
    "Adding",
    "Copying",
    "Digits",
    "Diverged",
    "HiddenState",
    "LSTMState",
    "Language",
    "LanguageModel",
    "Learned",
    "MomentumDTRIV",
    "MomentumGRU",
    "MomentumHiddenState",
    "MomentumLSTM",
    "MomentumRNN",
    "MomentumState",
    "NesterovDTRIV",
    "NesterovGRU",
    "NesterovHiddenState",
    "NesterovLSTM",
    "NesterovRNN",
    "NesterovState",
    "RMSPropDTRIV",
    "RMSPropGRU",
    "RMSPropLSTM",
    "RMSPropRNN",
    "RecurrentCell",
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
    "gradient_flow",
    "largest_drive",
    "momentum_lstm_loop",
    "nesterov_lstm_loop",
    "nesterov_momentum",
    "seeded",
    "velocity",
    "velocity_loop",
]
