"""Speech: frames as scipy computes them, speakers apart, padding that costs nothing."""

import numpy as np
import pytest
import scipy.signal
import torch
from scipy.io import wavfile

from momentune.models import Speech
from momentune.models.tasks.speech import FLOOR, _samples, log_magnitudes


@pytest.fixture
def data(voices, monkeypatch):
    monkeypatch.setenv("MOMENTUNE_DATA", str(voices))


def test_frames_are_those_of_scipy():
    samples = np.random.RandomState(0).standard_normal(2000).astype(np.float32)
    frames = log_magnitudes(samples)
    window = scipy.signal.get_window("hann", 256)
    for t, frame in enumerate(frames):
        spectrum = np.abs(np.fft.rfft(window * samples[128 * t : 128 * t + 256]))
        want = torch.from_numpy(np.log(np.maximum(spectrum, FLOOR))).float()
        torch.testing.assert_close(frame, want, rtol=1e-3, atol=1e-3)
    assert frames.shape == (1 + (2000 - 256) // 128, 129)


@pytest.mark.usefixtures("data")
def test_a_target_is_the_next_input():
    split = Speech(longest=1000).train()
    inputs, targets = split.inputs[:, 1:], split.targets[:, :-1]
    there = ~split.targets[:, 1:].isnan()
    assert there.any()
    assert torch.equal(inputs[there], targets[there])


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("longest", [2, 7, 1000])
def test_cutting_loses_no_frame(longest):
    whole, cut = Speech(longest=1000).train(), Speech(longest=longest).train()
    assert cut.targets.shape[1] <= longest
    assert len(cut) >= len(whole)
    counts = [(~split.targets[..., 0].isnan()).sum() for split in (whole, cut)]
    assert counts[0] == counts[1]


@pytest.mark.usefixtures("data")
def test_no_speaker_is_in_two_splits(voices):
    """Each voice has its own pitch: its loudest frequency tells who speaks."""
    task = Speech()
    loudest = []
    for split in (task.train(), task.validation(), task.test()):
        valid = ~split.targets[..., 0].isnan()
        loudest.append(set(split.targets[valid].argmax(-1).tolist()))
    assert len(list(voices.iterdir())) == 6
    assert not loudest[1] & loudest[2]


@pytest.mark.usefixtures("data")
def test_training_frames_have_mean_0_and_variance_1():
    split = Speech(longest=1000).train()
    frames = split.targets[~split.targets[..., 0].isnan()]
    assert frames.mean(0).abs().max() < 0.3  # the first frame of a recording is no target
    task = Speech(longest=1000)
    assert task.loss(torch.zeros_like(split.targets), split.targets) == pytest.approx(1, rel=0.2)


@pytest.mark.usefixtures("data")
def test_chance_is_the_mean_frame_s_loss_on_other_voices():
    task = Speech()
    split = task.validation()
    frames = split.targets[~split.targets.isnan()]
    assert task.chance == pytest.approx(frames.square().mean().item())
    assert task.chance > 1.1  # of the training voices it is about 1


@pytest.mark.usefixtures("data")
def test_the_linear_rival_is_numpy_s_least_squares():
    task = Speech()

    def pairs(split):
        there = ~split.targets[..., 0].isnan()
        frames = split.inputs[there].double().numpy()
        return np.c_[frames, np.ones(len(frames))], split.targets[there].double().numpy()

    (x, y), (others, answers) = pairs(task.train()), pairs(task.validation())
    weight = np.linalg.lstsq(x, y, rcond=None)[0]
    assert task.linear() == pytest.approx(np.square(others @ weight - answers).mean(), rel=1e-3)


@pytest.mark.usefixtures("data")
def test_padding_costs_nothing():
    task = Speech()
    split = task.train()
    prediction = torch.randn(split.targets.shape)
    there = ~split.targets.isnan()
    worse = torch.where(there, prediction, torch.full_like(prediction, 1e6))
    assert task.loss(worse, split.targets) == task.loss(prediction, split.targets)
    assert (split.inputs[:, 1:][~there[:, :-1]] == 0).all()


def write(path, rate, seconds=0.3, *, silent=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.RandomState(len(str(path))).standard_normal(int(rate * seconds)) * 3000
    samples *= not silent
    wavfile.write(path, rate, samples.astype(np.int16))


@pytest.mark.parametrize(
    "where", ["timit/TRAIN timit/TEST", "TIMIT/TRAIN TIMIT/TEST", "TRAIN TEST", "train test"]
)
def test_timit_is_parted_as_it_comes(where, tmp_path, monkeypatch):
    """16 kHz; TEST speakers test, every tenth of TRAIN validates, SA sentences are left out."""
    train, test = (tmp_path / name for name in where.split())
    for number in range(20):
        for sentence in ("SX1.WAV", "SI2.wav", "SA1.WAV"):
            write(train / f"DR1/M{number:02}/{sentence}", 16_000)
    write(test / "DR2/F00/SX3.WAV", 16_000)
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    data = Speech(longest=1000).data
    assert data["name"] == "speech: TIMIT"
    assert (data["train"], data["validation"], data["test"]) == (36, 4, 1)
    frames = Speech(longest=1000).test().inputs
    assert frames.shape[1] == 1 + (2400 - 256) // 128 - 1


def test_names_mean_something_in_timit_only(tmp_path, monkeypatch):
    """Elsewhere a file may begin with SA, and the data may lie in a folder called test."""
    folder = tmp_path / "test" / "data"
    for speaker in "abc":
        write(folder / speaker / "sad1.wav", 8000)
    monkeypatch.setenv("MOMENTUNE_DATA", str(folder))
    data = Speech(longest=1000).data
    assert (data["train"], data["validation"], data["test"]) == (1, 1, 1)


def test_eight_bits_sound_like_sixteen(tmp_path):
    sound = np.sin(np.arange(2000) / 5) * 0.9
    wide, narrow = tmp_path / "16.wav", tmp_path / "8.wav"
    wavfile.write(wide, 8000, (sound * 32767).astype(np.int16))
    wavfile.write(narrow, 8000, (128 + 127 * sound).round().astype(np.uint8))
    heard = [_samples(path.read_bytes(), path) for path in (wide, narrow)]
    np.testing.assert_allclose(heard[1], heard[0], atol=0.02)


def test_samples_are_from_all_over(tmp_path, monkeypatch):
    """Seven takes of each voice, of rising length: four of the seven reach past the fifth."""
    for speaker in "abc":
        for take in range(7):
            write(tmp_path / speaker / f"{take}.wav", 8000, 0.2 + 0.1 * take)
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    few, all_ = Speech(longest=1000, samples=4).train(), Speech(longest=1000).train()
    lengths = [(~split.targets[..., 0].isnan()).sum(1) for split in (few, all_)]
    assert lengths[0].tolist() == lengths[1][[0, 1, 3, 5]].tolist()
    assert len(Speech(longest=1000, samples=99).train()) == 7


def test_where_no_speech_is_it_says_what_to_fetch(tmp_path, monkeypatch):
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"free-spoken-digit-dataset.*TIMIT in a folder"):
        Speech().train()
    monkeypatch.delenv("MOMENTUNE_DATA")
    with pytest.raises(FileNotFoundError, match="no speech"):
        Speech().train()


def test_two_speakers_are_too_few(tmp_path, monkeypatch):
    for speaker in "ab":
        write(tmp_path / speaker / "1.wav", 8000)
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="are of 2 speakers, and at least three are needed"):
        Speech().train()


def test_beside_test_speakers_ten_are_needed(tmp_path, monkeypatch):
    for number in range(9):
        write(tmp_path / f"TRAIN/M{number}/SX1.wav", 8000)
    for speaker in "ab":
        write(tmp_path / f"TEST/{speaker}/SX1.wav", 8000)
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="of 11 speakers, 2 of them below TEST, and at least ten"):
        Speech().train()
    write(tmp_path / "TRAIN/M9/SX1.wav", 8000)
    sources = tmp_path / "again"  # what a folder holds is read once
    sources.symlink_to(tmp_path)
    monkeypatch.setenv("MOMENTUNE_DATA", str(sources))
    assert len(Speech().validation()) == 1


def test_recordings_that_are_too_short_are_told(tmp_path, monkeypatch):
    """Of six speakers; the fifth, who validates, said too little."""
    for speaker in "abcdef":
        write(tmp_path / speaker / "1.wav", 8000, 0.047 if speaker == "e" else 0.048)
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"for validation in .* are shorter than 0\.048 s"):
        Speech().train()


def test_what_is_constant_in_training_is_not_scaled_up(tmp_path, monkeypatch):
    """Silence in training: the others' sound keeps its size, of a few units."""
    for speaker in "abc":
        write(tmp_path / speaker / "1.wav", 8000, silent=speaker == "a")
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    task = Speech()
    assert task.train().inputs.abs().max() < 1e-4
    frames = log_magnitudes(_samples((tmp_path / "b/1.wav").read_bytes(), tmp_path))
    wanted = frames[:-1] - torch.tensor(FLOOR).log()
    torch.testing.assert_close(task.validation().inputs[0], wanted, rtol=1e-4, atol=1e-4)


def test_a_file_that_is_no_wav_is_told(tmp_path, monkeypatch):
    for speaker in "abc":
        write(tmp_path / speaker / "1.wav", 8000)
    (tmp_path / "a/2.wav").write_bytes(b"NIST_1A\n   1024\n" + bytes(1000))
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"2\.wav is no WAV file.*sox"):
        Speech().train()


@pytest.mark.parametrize("wrong", [{"longest": 1}, {"samples": 0}])
def test_sizes_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="must be at least"):
        Speech(**wrong)
