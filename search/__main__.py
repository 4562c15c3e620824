"""``python -m momentune.search``: the command line."""

from .cli import main

main()
