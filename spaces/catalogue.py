"""The ready questions, by name. A space is imported when it is asked for, not before."""

from __future__ import annotations

from importlib import import_module

from .space import Space

CATALOGUE = {
    # recurrent networks
    "digits-lstm": "recurrent:digits_lstm",
    "digits-rnn": "recurrent:digits_rnn",
    "digits-gru": "recurrent:digits_gru",
    "digits-tanh": "recurrent:digits_tanh",
    "digits-relu": "recurrent:digits_relu",
    "digits-orthogonal": "recurrent:digits_orthogonal",
    "digits-learned": "recurrent:digits_learned",
    "copying-rnn": "recurrent:copying_rnn",
    "adding-rnn": "recurrent:adding_rnn",
    "mnist-lstm": "mnist:mnist_lstm",
    "pmnist-lstm": "mnist:pmnist_lstm",
    "pmnist-orthogonal": "mnist:pmnist_orthogonal",
    "speech-lstm": "speech:speech_lstm",
    "speech-orthogonal": "speech:speech_orthogonal",
    "language-lstm": "language:language_lstm",
    # neural ODEs
    "spheres-ode": "ode:spheres_ode",
    "oscillators-ode": "ode:oscillators_ode",
    "digits-ode": "ode_images:digits_ode",
    "mnist-ode": "ode_images:mnist_ode",
    "cifar10-ode": "ode_images:cifar10_ode",
    "silverbox-ode": "ode:silverbox_ode",
    "silverbox-growth": "growth:silverbox_growth",
    "vibration-ode": "ode:vibration_ode",
    "walker-ode": "ode:walker_ode",
    # transformers
    "copy-attention": "attention:copy_attention",
    "generation-attention": "attention:generation_attention",
    "translation-attention": "attention:translation_attention",
    "listops-attention": "arena:listops_attention",
    "text-attention": "arena:text_attention",
    "retrieval-attention": "arena:retrieval_attention",
    "image-attention": "arena:image_attention",
    "pathfinder-attention": "arena:pathfinder_attention",
}
"""Name of a space -> module of this package and attribute."""


def catalogued(name: str) -> Space:
    """The catalogue's space of that name."""
    module, attribute = CATALOGUE[name].split(":")
    space = getattr(import_module(f".{module}", __package__), attribute)
    assert isinstance(space, Space)
    return space
