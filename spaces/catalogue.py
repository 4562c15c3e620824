"""The ready questions, by name. A space is imported when it is asked for, not before."""

from __future__ import annotations

from importlib import import_module

from .space import Space

CATALOGUE = {
    "adding-rnn": "recurrent:adding_rnn",
    "copying-rnn": "recurrent:copying_rnn",
    "digits-gru": "recurrent:digits_gru",
    "digits-lstm": "recurrent:digits_lstm",
    "digits-rnn": "recurrent:digits_rnn",
    "digits-tanh": "recurrent:digits_tanh",
    "language-lstm": "language:language_lstm",
    "mnist-lstm": "mnist:mnist_lstm",
    "pmnist-lstm": "mnist:pmnist_lstm",
    "pmnist-orthogonal": "orthogonal:pmnist_orthogonal",
    "speech-lstm": "speech:speech_lstm",
    "speech-orthogonal": "orthogonal:speech_orthogonal",
}
"""Name of a space -> module of this package and attribute."""


def catalogued(name: str) -> Space:
    """The catalogue's space of that name."""
    module, attribute = CATALOGUE[name].split(":")
    space = getattr(import_module(f".{module}", __package__), attribute)
    assert isinstance(space, Space)
    return space
