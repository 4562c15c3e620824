"""Networks, tasks, and one training run as a generator of metrics. Knows nothing of searches."""

from .adaptive import AdamLSTM, AdamState, RMSPropLSTM, adam_lstm_loop, largest_drive
from .cell import RecurrentCell
from .classifier import SequenceClassifier, SequenceTagger
from .divergence import Diverged
from .language import LanguageModel
from .momentum import nesterov_momentum, velocity, velocity_loop
from .ode import ANODE, GHBNODE, HBNODE, NODE, SONODE, Dynamics, GNesterovNODE, NesterovNODE
from .ode_block import ODEBlock, SolverDiverged
from .ode_networks import ODENetwork, image_classifier, point_classifier
from .ode_rnn import ODERNN, forecaster
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
from .spectrum import adjoint_norms, eigenvalues, spectrum_along
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
    "GHBNODE",
    "HBNODE",
    "LSTM",
    "MNIST",
    "NODE",
    "ODERNN",
    "SONODE",
    "AdamLSTM",
    "AdamState",
    "Adding",
    "Copying",
    "Digits",
    "Diverged",
    "Dynamics",
    "Forecasting",
    "GNesterovNODE",
    "Images",
    "LSTMState",
    "Language",
    "LanguageModel",
    "MomentumLSTM",
    "MomentumState",
    "NestedSpheres",
    "NesterovLSTM",
    "NesterovNODE",
    "NesterovState",
    "ODEBlock",
    "ODENetwork",
    "Oscillators",
    "RMSPropLSTM",
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
