"""The next frame of speech: what does a voice sound like 16 ms from now?

The task of Wisdom et al., "Full-Capacity Unitary Recurrent Neural Networks" (arXiv:1611.00035), as
the momentum paper uses it (section 1.6): frames of the log-magnitude spectrum at 8 kHz, windows of
256 samples every 128, so 129 numbers a frame, and the mean squared error over all frames but the
padding.
"""

import io
import tarfile
import warnings
from collections.abc import Iterator
from functools import cache, cached_property
from itertools import pairwise
from math import gcd
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from .sources import PARTS, VARIABLE, Part, data_folder, sha256
from .task import Split, Task

RATE = 8000  # samples per second
WINDOW, HOP = 256, 128  # samples
FLOOR = 1e-4  # of a magnitude, where full scale is 1: below 16-bit noise
SHORTEST = WINDOW + HOP  # samples: two frames, one to predict the other
CONSTANT = 1e-4  # a frequency that varies by less, a thousandth of a decibel, varies by rounding
CYCLE: tuple[Part, ...] = ("train", "train", "train", "train", "validation", "test")  # speakers
ARCHIVE = "fsdd_recordings.tar.gz"

Recording = tuple[str, Path, NDArray[np.float32]]  # the speaker, the file, samples at RATE
Frames = dict[Part, list[Tensor]]  # of each piece (T, 129)


class Speech(Task):
    """Predict the next frame of log magnitudes; no speaker is in two splits.

    Recordings are read from the data folder, from the first of these that is there:

    1. TIMIT, as `timit`, `TIMIT` or the data folder itself: WAV files below TRAIN and TEST, each in
       the folder of its speaker. SA sentences, which all speakers read, are left out. Every tenth
       speaker of TRAIN validates.
    2. `fsdd_recordings.tar.gz`: the spoken digits of six speakers
       (https://github.com/Jakobovski/free-spoken-digit-dataset), files digit_speaker_index.wav.
    3. WAV files in folders named by their speakers.

    Without a TEST folder, four of every six speakers, in alphabetic order, are to train, the fifth
    validates, the sixth tests; at least three are needed.

    Each frequency has mean 0 and variance 1 over the training frames; one that is constant there
    keeps its scale. So `chance`, what the training data's mean frame costs, would be 1 on them; it
    is measured on validation data, whose voices are others. `linear` is a harder rival: frames
    change slowly. Frames past the end of a recording are 0 as inputs and NaN as targets.

    Args:
        longest: frames; longer recordings are cut into several of about that length.
        samples: of each split at most so many recordings; None for all.
    """

    name = "speech"
    metric = "loss"
    direction: Literal["minimize"] = "minimize"
    input_size = output_size = WINDOW // 2 + 1
    needs_data = True

    def __init__(self, *, longest: int = 64, samples: int | None = None) -> None:
        if longest < 2 or (samples is not None and samples < 1):
            raise ValueError(
                "longest must be at least 2 frames and samples at least 1 recording, "
                f"got {longest} and {samples}"
            )
        self.longest, self.samples = longest, samples

    @cached_property
    def chance(self) -> float:  # type: ignore[override]
        """The loss of the training data's mean frame, which is 0, on validation data."""
        target = self.validation().targets
        return self.loss(torch.zeros_like(target), target).item()

    def linear(self) -> float:
        """The loss on validation data of least squares from one frame to the next."""
        (x, y), (others, answers) = (self._transitions(part) for part in ("train", "validation"))
        weight = torch.linalg.lstsq(x, y, driver="gelsd").solution
        return float((others @ weight - answers).square().mean())

    @property
    def data(self) -> dict[str, str | int]:
        """Source, sizes, and the sha256 of the frames that are used, not yet normalized."""
        source, _ = _frames(data_folder())
        chosen = {part: self._pieces(part) for part in PARTS}
        return {
            "name": f"{self.name}: {source}",
            **{part: len(pieces) for part, pieces in chosen.items()},
            "sha256": sha256(*(p.numpy() for pieces in chosen.values() for p in pieces)),
        }

    def train(self) -> Split:
        """Pieces of recordings, inputs and targets (N, T, 129)."""
        return self._split("train")

    def validation(self) -> Split:
        """Of speakers that are not in training."""
        return self._split("validation")

    def test(self) -> Split:
        """Of speakers that are in no other split."""
        return self._split("test")

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean squared error of (B, T, 129), over what is not NaN."""
        there = ~target.isnan()
        return (prediction[there] - target[there]).square().mean()

    def metrics(self, prediction: Tensor, target: Tensor) -> dict[str, float]:
        """`loss` alone."""
        return {"loss": self.loss(prediction, target).item()}

    def _split(self, part: Part) -> Split:
        everything = torch.cat(self._pieces("train"))
        mean, deviation = everything.mean(0), everything.std(0)
        deviation = deviation.where(deviation > CONSTANT, 1.0)
        pieces = [(piece - mean) / deviation for piece in self._pieces(part)]
        return Split(
            pad_sequence([piece[:-1] for piece in pieces], batch_first=True),
            pad_sequence([piece[1:] for piece in pieces], True, padding_value=float("nan")),
        )

    def _transitions(self, part: Part) -> tuple[Tensor, Tensor]:
        """Each frame with a 1 behind it (N, 130), and the frame after it (N, 129), in float64."""
        split = self._split(part)
        there = ~split.targets[..., 0].isnan()
        frames = split.inputs[there].double()
        return torch.cat([frames, torch.ones_like(frames[:, :1])], 1), split.targets[there].double()

    def _pieces(self, part: Part) -> list[Tensor]:
        recordings = _frames(data_folder())[1][part]
        if self.samples is not None:  # from all over: neighbours are of one speaker
            count = min(self.samples, len(recordings))
            recordings = [recordings[place * len(recordings) // count] for place in range(count)]
        return [piece for frames in recordings for piece in _cut(frames, self.longest)]


def log_magnitudes(samples: NDArray[np.float32]) -> Tensor:
    """Natural logarithms of the magnitudes of the short-time Fourier transform, (T, 129)."""
    spectrum = torch.stft(
        torch.from_numpy(samples),
        WINDOW,
        HOP,
        window=torch.hann_window(WINDOW),
        center=False,
        return_complex=True,
    )
    return spectrum.abs().clamp_min(FLOOR).log().mT.contiguous()


@cache
def _frames(folder: Path | None) -> tuple[str, Frames]:
    """Where recordings were found, and the frames of each."""
    name, recordings = _recordings(folder)
    if not recordings:
        raise FileNotFoundError(
            "no speech: fetch https://github.com/Jakobovski/free-spoken-digit-dataset (3,000 "
            f"spoken digits) and put its recordings, in {ARCHIVE} or one folder for each speaker, "
            f"or TIMIT in a folder `timit`, into the folder that --data or {VARIABLE} names"
        )
    parts = _parts([(speaker, path) for speaker, path, _ in recordings], folder)
    frames: Frames = {part: [] for part in PARTS}
    for (_, _, samples), part in zip(recordings, parts, strict=True):
        if len(samples) >= SHORTEST:
            frames[part].append(log_magnitudes(samples))
    if empty := [part for part, found in frames.items() if not found]:
        raise ValueError(
            f"all recordings for {' and '.join(empty)} in {folder} are shorter than "
            f"{SHORTEST / RATE:.3f} s, and a frame and the next take as long; give longer ones"
        )
    return name, frames


def _recordings(folder: Path | None) -> tuple[str, list[Recording]]:
    if folder is None:
        return "", []
    itself = {path.name.upper() for path in folder.iterdir() if path.is_dir()} >= {"TRAIN", "TEST"}
    for timit in (folder / "timit", folder / "TIMIT", *[folder] * itself):
        if timit.is_dir():
            return "TIMIT", list(_in_folders(timit, but=("SA",)))
    if (folder / ARCHIVE).is_file():
        return "free spoken digits", list(_in_archive(folder / ARCHIVE))
    return "WAV files", list(_in_folders(folder))


def _in_folders(folder: Path, but: tuple[str, ...] = ()) -> Iterator[Recording]:
    """WAV files, `but` for those whose names begin so; paths are as seen from the folder."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() == ".wav" and not path.name.upper().startswith(but):
            yield path.parent.name, path.relative_to(folder), _samples(path.read_bytes(), path)


def _in_archive(archive: Path) -> Iterator[Recording]:
    with tarfile.open(archive) as members:
        for member in sorted(members.getmembers(), key=lambda member: member.name):
            file = members.extractfile(member) if member.name.endswith(".wav") else None
            if file is not None:
                path = Path(member.name)
                yield path.stem.split("_")[1], path, _samples(file.read(), path)


def _samples(content: bytes, path: Path) -> NDArray[np.float32]:
    """One channel at 8 kHz, full scale 1."""
    from scipy.io import wavfile
    from scipy.signal import resample_poly

    try:
        with warnings.catch_warnings(action="ignore"):  # chunks that are no sound
            rate, samples = wavfile.read(io.BytesIO(content))
    except ValueError as error:
        raise ValueError(
            f"{path} is no WAV file that can be read ({error}); TIMIT's own are NIST SPHERE files: "
            "convert them, for example with `sox in.WAV out.wav`"
        ) from error
    if samples.dtype == np.uint8:  # 8 bits are unsigned, around 128
        samples = (samples.astype(np.float64) - 128) / 127
    elif samples.dtype.kind == "i":
        samples = samples / np.iinfo(samples.dtype).max
    mono = samples if samples.ndim == 1 else samples.mean(1)
    common = gcd(RATE, rate)
    return resample_poly(mono, RATE // common, rate // common).astype(np.float32)


def _parts(files: list[tuple[str, Path]], folder: Path | None) -> list[Part]:
    """The part of each file, by its speaker; the folder is where they are, for the error."""
    tested = {s for s, path in files if "TEST" in {p.upper() for p in path.parts[:-1]}}
    others = sorted({speaker for speaker, _ in files} - tested)
    if len(others) < (10 if tested else 3):
        needed = (
            f"{len(tested)} of them below TEST, and at least ten others are needed: one validates"
            if tested
            else "and at least three are needed: to train, to validate, to test"
        )
        raise ValueError(
            f"the recordings in {folder} are of {len(tested) + len(others)} speakers, {needed}"
        )
    part: dict[str, Part] = dict.fromkeys(tested, "test")
    for place, speaker in enumerate(others):
        if tested:
            part[speaker] = "validation" if place % 10 == 9 else "train"
        else:
            part[speaker] = CYCLE[-len(others) :][place] if len(others) < 6 else CYCLE[place % 6]
    return [part[speaker] for speaker, _ in files]


def _cut(frames: Tensor, longest: int) -> list[Tensor]:
    """Pieces of about equal length, of at most `longest` predictions; nothing is lost.

    The last frame of a piece is the first of the next, so that each frame but the first of a
    recording is predicted once.
    """
    count = -(-(len(frames) - 1) // longest)
    borders = np.linspace(0, len(frames) - 1, count + 1).round().astype(int).tolist()
    return [frames[start : end + 1] for start, end in pairwise(borders)]
