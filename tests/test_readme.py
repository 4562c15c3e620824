"""The README's own commands, run as they stand there, one after the other, in an empty folder."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def test_the_readmes_commands_do_what_they_say(momentune, tmp_path):
    for language, text in BLOCKS:
        if language == "python" and text.startswith("# "):
            (tmp_path / text.split()[1]).write_text(text)
    commands = [
        line.partition("#")[0].strip()
        for language, text in BLOCKS
        if language == "bash"
        for line in text.splitlines()
        if line.startswith("momentune ")
    ]
    assert len(commands) >= 8
    for command in commands:
        done = momentune(*shlex.split(command)[1:])
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert (tmp_path / "runs/first/report/index.html").exists()
