"""What the package offers, and what it does not drag in."""

import subprocess
import sys

from momentune import models

PUBLIC = [
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


def test_the_public_names_are_these():
    assert models.__all__ == PUBLIC
    assert all(getattr(models, name).__doc__ for name in PUBLIC)


def test_models_know_nothing_of_searches_and_reports():
    """Nor of scikit-learn before digits are asked for: it takes a second."""
    foreign = {"ray", "optuna", "pandas", "altair", "sklearn"}
    program = f"import sys, momentune.models; print(sorted({foreign} & sys.modules.keys()))"
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
