"""Ray's token authentication: who is not let in is told what it takes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOM = ("--trials", 1, "--epochs", 1, "--seeds", 1, "--out")


def test_a_token_that_is_not_there_is_told_before_the_start(momentune, tmp_path, trivial_file):
    where = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(tmp_path / "none")}
    done = momentune("sweep", trivial_file, *ROOM, tmp_path / "run", env=os.environ | where)
    assert done.returncode == 2
    assert f"empty: {tmp_path / 'none'}. Where token authentication is on" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.fixture
def guarded(tmp_path):
    """The address of a cluster that asks for a token."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "token").write_text("0123456789abcdef" * 4)
    command = [
        *(Path(sys.executable).parent / "ray", "start", "--head", "--block", "--port", port),
        *("--num-cpus", 1, "--include-dashboard", "false"),
    ]
    where = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}
    head = subprocess.Popen(
        [*map(str, command)],
        env=os.environ | where,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _until_listening(port)
        yield f"127.0.0.1:{port}", where
    finally:
        head.terminate()
        head.wait(60)


def _until_listening(port):
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(port)


@pytest.mark.slow
def test_a_cluster_that_asks_for_a_token_is_joined_with_it_alone(
    momentune, tmp_path, trivial_file, guarded
):
    address, where = guarded
    words = ("sweep", trivial_file, "--address", address, *ROOM, tmp_path / "run")
    done = momentune(*words)
    assert done.returncode == 2
    assert "does it ask for a token?" in done.stderr
    assert "RAY_AUTH_TOKEN_PATH" in done.stderr
    assert not (tmp_path / "run").exists()
    done = momentune(*words, env=os.environ | where)
    assert done.returncode == 0, done.stderr
