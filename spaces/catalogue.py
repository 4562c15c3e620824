"""The ready questions, by name. A space is imported when it is asked for, not before."""

from __future__ import annotations

from importlib import import_module

from .space import Space

CATALOGUE = {
    "adding-rnn": "recurrent:adding_rnn",
    "copy-attention": "attention:copy_attention",
    "copying-rnn": "recurrent:copying_rnn",
    "digits-lstm": "recurrent:digits_lstm",
    "digits-rnn": "recurrent:digits_rnn",
    "generation-attention": "attention:generation_attention",
    "image-attention": "attention:image_attention",
    "listops-attention": "attention:listops_attention",
}
"""Name of a space -> module of this package and attribute."""


def catalogued(name: str) -> Space:
    """The catalogue's space of that name."""
    module, attribute = CATALOGUE[name].split(":")
    space = getattr(import_module(f".{module}", __package__), attribute)
    assert isinstance(space, Space)
    return space
