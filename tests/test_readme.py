"""The README's own commands, run as they stand there, one after the other, in an empty folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
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


def test_the_lines_for_slurm_start_a_head_and_a_worker_on_each_other_node(tmp_path):
    """As bash reads them; `srun` and what it starts only say here with which words."""
    (script,) = (text for _, text in BLOCKS if "srun" in text)
    for name in ("hostname", "ray", "srun", "sleep", "momentune"):
        words = "echo first" if name == "hostname" else f'echo {name} "$@" >> {tmp_path}/said'
        (tmp_path / name).write_text(f"#!/bin/sh\n{words}\n")
        (tmp_path / name).chmod(0o755)
    job = {"SLURM_NNODES": "3", "SLURM_CPUS_PER_TASK": "4", "SCRATCH": "/scratch"}
    where = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(
        ["bash", "-euc", f"{script}\nwait"], env=os.environ | job | where, check=True, timeout=60
    )
    assert sorted((tmp_path / "said").read_text().splitlines()) == [
        "momentune sweep SPACE --address auto --out /scratch/run",
        "ray start --head --port 6379 --num-cpus 4",
        "sleep 20",
        "srun --exclude=first --nodes=2 --ntasks-per-node=1 ray start --address first:6379 --block "
        "--num-cpus 4",
    ]
