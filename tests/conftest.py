from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Tests share two cores with each other and with Ray's workers: threads that spin help nobody.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parent.parent
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def momentune(tmp_path: Path) -> Command:
    """The installed command, run in an empty directory as a user would."""

    def run(*words: object, cwd: Path = tmp_path, **more: object) -> subprocess.CompletedProcess:
        command = [str(Path(sys.executable).parent / "momentune"), *map(str, words)]
        return subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False, **more
        )

    return run
