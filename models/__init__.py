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
from .ode import ANODE, GHBNODE, HBNODE, NODE, SONODE, Dynamics, GNesterovNODE, NesterovNODE
from .ode_block import ODEBlock, SolverDiverged
from .ode_networks import ODENetwork, image_classifier, point_classifier
from .ode_rnn import ODERNN, forecaster
from .orthogonal import DTRIV, AdamDTRIV, MomentumDTRIV, NesterovDTRIV, RMSPropDTRIV
from .recurrent import LSTM, AdamLSTM, MomentumLSTM, NesterovLSTM, RMSPropLSTM
from .rnn import RNN, AdamRNN, MomentumRNN, NesterovRNN, RMSPropRNN
from .spectrum import adjoint_norms, eigenvalues, spectrum_along
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
from .tasks import (
    CIFAR10,
    MNIST,
    Adding,
    Copying,
    Digits,
    Forecasting,
    Images,
    Language,
    NestedSpheres,
    Oscillators,
    Silverbox,
    Speech,
    Split,
    Stream,
    Task,
    Vibration,
    digits_image,
    mnist_image,
)
from .training import build, evaluate, fit, seeded

__all__ = [
    "ANODE",
    "CIFAR10",
    "DTRIV",
    "GHBNODE",
    "GRU",
    "HBNODE",
    "LSTM",
    "MNIST",
    "NODE",
    "ODERNN",
    "RNN",
    "SONODE",
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
    "Dynamics",
    "Forecasting",
    "GNesterovNODE",
    "HiddenState",
    "Images",
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
    "NestedSpheres",
    "NesterovDTRIV",
    "NesterovGRU",
    "NesterovHiddenState",
    "NesterovLSTM",
    "NesterovNODE",
    "NesterovRNN",
    "NesterovState",
    "ODEBlock",
    "ODENetwork",
    "Oscillators",
    "RMSPropDTRIV",
    "RMSPropGRU",
    "RMSPropLSTM",
    "RMSPropRNN",
    "RecurrentCell",
    "SequenceClassifier",
    "SequenceTagger",
    "Silverbox",
    "SolverDiverged",
    "Speech",
    "Split",
    "Stream",
    "Task",
    "Vibration",
    "adam_lstm_loop",
    "adjoint_norms",
    "build",
    "digits_image",
    "eigenvalues",
    "evaluate",
    "fit",
    "forecaster",
    "gradient_flow",
    "image_classifier",
    "largest_drive",
    "mnist_image",
    "momentum_lstm_loop",
    "nesterov_lstm_loop",
    "nesterov_momentum",
    "point_classifier",
    "seeded",
    "spectrum_along",
    "velocity",
    "velocity_loop",
]
