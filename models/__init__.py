"""Networks, tasks, and one training run as a generator of metrics. Knows nothing of searches."""

from .adaptive import AdamLSTM, AdamState, RMSPropLSTM, adam_lstm_loop, largest_drive
from .attention import (
    adaptive_momentum_attention,
    adaptive_momentum_attention_loop,
    linear_attention,
    linear_attention_loop,
    momentum_attention,
    momentum_attention_loop,
    softmax_attention,
)
from .attention_state import (
    AdaptiveMomentumState,
    KeyValueState,
    LinearState,
    MomentumAttentionState,
    adaptive_momentum_attention_step,
    linear_attention_step,
    momentum_attention_step,
    softmax_attention_step,
)
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
from .tasks import MNIST, Adding, Copying, Digits, Language, Speech, Split, Stream, Task
from .training import build, evaluate, fit, seeded

__all__ = [
    "LSTM",
    "MNIST",
    "AdamLSTM",
    "AdamState",
    "AdaptiveMomentumState",
    "Adding",
    "Copying",
    "Digits",
    "Diverged",
    "KeyValueState",
    "LSTMState",
    "Language",
    "LanguageModel",
    "LinearState",
    "MomentumAttentionState",
    "MomentumLSTM",
    "MomentumState",
    "NesterovLSTM",
    "NesterovState",
    "RMSPropLSTM",
    "RecurrentCell",
    "SequenceClassifier",
    "SequenceTagger",
    "Speech",
    "Split",
    "Stream",
    "Task",
    "adam_lstm_loop",
    "adaptive_momentum_attention",
    "adaptive_momentum_attention_loop",
    "adaptive_momentum_attention_step",
    "build",
    "evaluate",
    "fit",
    "largest_drive",
    "linear_attention",
    "linear_attention_loop",
    "linear_attention_step",
    "momentum_attention",
    "momentum_attention_loop",
    "momentum_attention_step",
    "momentum_lstm_loop",
    "nesterov_lstm_loop",
    "nesterov_momentum",
    "seeded",
    "softmax_attention",
    "softmax_attention_step",
    "velocity",
    "velocity_loop",
]
