"""Laws of the cards: added by a file, thinned where many, absent where they do not apply."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from momentune.reports import RunError, load_run, write_gallery, write_report
from momentune.reports.cards import CARDS, every, safely
from momentune.reports.cards.writing import near, thinned
from momentune.reports.charts.theme import themed

from .conftest import LSTM, PIXEL

BROKEN = """
import sys
import pandas as pd
from momentune.reports import Card

class Mute:
    def __str__(self):
        raise RuntimeError("no words")

CARDS = {
    "text": lambda run: "no card",
    "nothing": lambda run: Card("Nothing", "It has no frame.", None),
    "exit": lambda run: sys.exit("good bye"),
    "../up and away": lambda run: Card("Up", "A name like a path.", pd.DataFrame({"a": [1]})),
    "odd": lambda run: Card("Odd", "A cell has no text.", pd.DataFrame({"a": [Mute()]})),
    7: None,
}
"""
OWN = """
from momentune.reports import Card

def longest(run):
    frame = run.trials[["trial", "seconds"]].nlargest(3, "seconds")
    return Card("Longest trials", f"The longest took {frame.seconds.max():.1f} s.", frame)

def broken(run):
    raise RuntimeError("no luck")

CARDS = {"longest": longest, "broken": broken}
"""


def test_a_file_adds_cards_and_a_broken_one_is_a_note(writer: Any, tmp_path: Path) -> None:
    made = writer()
    made.trial("lstm", curve=[0.5])
    file = tmp_path / "my_cards.py"
    file.write_text(OWN)
    with pytest.warns(UserWarning, match="broken"):
        page = write_report(made.path, cards=[file])
    text = page.read_text()
    assert "The longest took 0.3 s." in text
    assert "This card could not be made (RuntimeError: no luck)." in text
    assert (page.parent / "tables" / "card_longest.csv").is_file()


@pytest.mark.filterwarnings("ignore:the card")
def test_whatever_a_card_does_the_report_is_written(writer: Any, tmp_path: Path) -> None:
    made, file = writer(), tmp_path / "mine.py"
    file.write_text(BROKEN)
    page = write_report(made.path, cards=[file])
    text = page.read_text()
    for name in ("text", "nothing", "exit", "7"):
        told = text.split(f'id="card-{name}"')[1].split("</section>")[0]
        assert "This card could not be made (" in told
    assert "This card could not be shown (RuntimeError: no words)." in text
    assert (page.parent / "tables" / "card_up_and_away.csv").is_file()
    assert not (made.path / "up and away.csv").exists()


@pytest.mark.parametrize(("content", "told"), [("x = 1", "CARDS"), ("1 / 0", "division")])
def test_a_file_without_cards_is_refused(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(content)
    with pytest.raises(RunError, match=told):
        every([file])
    with pytest.raises(RunError, match="check the path"):
        every([tmp_path / "nowhere.py"])


@pytest.mark.parametrize("name", ["published", "readings", "series", "samples", "front"])
def test_cards_that_do_not_apply_are_left_out(make_sweep: Any, name: str) -> None:
    assert CARDS[name](load_run(make_sweep(trials=2, seeds=2).path)) is None


def test_test_metrics_that_were_not_searched_for_stand_in_a_table(writer: Any) -> None:
    made = writer()
    for variant, scores in (("lstm", (21.0, 23.0)), ("momentum_lstm", (None, 25.0))):
        for seed, bleu in enumerate(scores):
            number = made.trial(variant, "confirm", seed=seed, curve=[0.8], test=0.9)
            made.report(number, 1, validation_accuracy=0.8, test_accuracy=0.9, test_bleu=bleu)
    frame = CARDS["others"](load_run(made.path)).frame
    assert set(frame["test metric"]) == {"bleu"}
    told = frame.set_index("contender")
    assert told["mean"].to_dict() == {"lstm": 22.0, "momentum_lstm": 25.0}
    assert told["seeds"].to_dict() == {"lstm": 2, "momentum_lstm": 1}
    # Student's t with one degree of freedom: 12.7062 standard errors, here of 1.
    assert told.loc["lstm", "high"] == pytest.approx(22 + 12.7062, abs=1e-4)


def test_samples_are_pictures_of_the_first_seed_and_nothing_else(writer: Any) -> None:
    made = writer()
    for variant in ("lstm", "momentum_lstm"):
        made.tested(variant, [0.9, 0.8])
    folder = made.path / "samples"
    folder.mkdir()
    for number, content in enumerate([PIXEL, PIXEL, b"\x80\x04not a picture", PIXEL]):
        (folder / f"trial-{number:06d}.png").write_bytes(content)
    page = write_report(made.path)
    text, markdown = page.read_text(), (page.parent / "report.md").read_text()
    assert text.count('<img src="data:image/png;base64,') == 2
    for shown in ("lstm, seed 100", "momentum_lstm, seed 101"):
        assert f'alt="{shown}"' in text
        assert f"![{shown}](figures/samples_" in markdown
    assert (page.parent / "figures" / "samples_1.png").read_bytes() == PIXEL


def test_thinning_keeps_the_best_and_the_order(make_sweep: Any) -> None:
    run = load_run(make_sweep(trials=2, seeds=2).path)
    frame = pd.DataFrame({"value": [float(i % 97) for i in range(1000)]})
    kept = thinned(frame, run, most=100)
    assert len(kept) == 100
    assert set(frame["value"].nlargest(20).index) <= set(kept.index)
    assert kept.index.is_monotonic_increasing


def test_series_are_frames_of_their_own(finished: Path) -> None:
    run = load_run(finished)
    assert list(run.series) == ["trial", "epoch", "name", "index", "value"]
    assert run.series.groupby("trial").size().eq(20).all()  # the missing last one is left out
    assert "after_gradient_norm" not in run.curves


def test_the_gallery_holds_text_and_figures_only(finished: Path, tmp_path: Path) -> None:
    report = write_gallery(finished, tmp_path / "gallery" / "digits-lstm")
    suffixes = {file.suffix for file in report.parent.rglob("*") if file.is_file()}
    assert suffixes == {".md", ".svg", ".png", ".csv", ".tex", ""}  # the last is our mark
    figures = [line for line in report.read_text().splitlines() if line.startswith("![")]
    assert all((report.parent / line.split("](")[1][:-1]).is_file() for line in figures)
    assert sum(file.stat().st_size for file in report.parent.rglob("*.*")) < 3e6


def test_a_failed_trial_is_worth_the_worst_in_the_expected_best(writer: Any) -> None:
    made = writer(sampler={"name": "random"})
    for value in (0.5, 0.9):
        made.trial("lstm", curve=[value])
    made.trial("lstm", state="FAIL", reason="diverged")
    expected = CARDS["budget"](load_run(made.path)).frame["expected"]
    assert expected.tolist() == pytest.approx([1.9 / 3, (0.5 + 0.9 + 0.9) / 3, 0.9])


def test_early_values_of_pruned_trials_are_not_taken_for_final_ones(writer: Any) -> None:
    made = writer(sampler={"name": "random"})
    for value in (0.5, 0.9):
        made.trial("lstm", curve=[value])
        made.trial("momentum_lstm", curve=[value], state="COMPLETE" if value > 0.8 else "PRUNED")
    card = CARDS["budget"](load_run(made.path))
    assert set(card.frame["variant"]) == {"lstm"}
    assert card.finding.startswith("Not valid for momentum_lstm, so left out")


def test_a_folder_of_somebody_else_is_left_alone(finished: Path, tmp_path: Path) -> None:
    own = tmp_path / "home" / "report.md"
    own.parent.mkdir()
    own.write_text("years of work")
    with pytest.raises(RunError, match="give another folder"):
        write_gallery(finished, own.parent)
    assert own.read_text() == "years of work"


@pytest.mark.slow
def test_ten_thousand_trials_are_reported_in_a_minute_and_mailed(tmp_path: Path) -> None:
    benchmark = Path(__file__).parents[1] / "benchmarks" / "report.py"
    done = subprocess.run([sys.executable, benchmark], capture_output=True, text=True, check=True)
    size = float(done.stdout.split(" MB")[0].split()[-1])
    seconds = float(done.stdout.split("both ")[1].split()[0])  # also on a machine that is busy
    assert size < 10
    assert seconds < 60


def test_an_installed_package_adds_cards_and_a_broken_one_becomes_a_note(
    writer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By entry points, as an installation writes them beside a package's code."""
    site = tmp_path / "site"
    (site / "extra_cards-1.0.dist-info").mkdir(parents=True)
    (site / "extra_cards-1.0.dist-info/METADATA").write_text("Name: extra-cards\nVersion: 1.0\n")
    (site / "extra_cards-1.0.dist-info/entry_points.txt").write_text(
        "[momentune.cards]\nweather = extra_cards:weather\ngone = extra_cards:gone\n"
    )
    (site / "extra_cards.py").write_text(
        "import pandas as pd\nfrom momentune.reports import Card\n\n"
        "def weather(run):\n    return Card('Weather', f'Rain on {run.name}.', pd.DataFrame())\n"
    )
    monkeypatch.syspath_prepend(site)
    run = load_run(writer().path)
    made = every()
    assert made["weather"](run).finding == f"Rain on {run.name}."
    with pytest.warns(UserWarning, match="the card 'gone' could not be made"):
        note = safely("gone", made["gone"], run)
    assert note is not None
    assert "could not be made" in note.finding


def stated(**changes: Any) -> dict[str, Any]:
    return {"variant": "lstm", "metric": "loss", "value": 0.275, "setting": "s", **changes}


def test_a_published_number_stands_beside_its_own_metric_split_and_contender(writer: Any) -> None:
    """The run decides by accuracy; the authors told losses, of test and of validation data."""
    told = [
        stated(spread=0.018),
        stated(split="validation"),
        stated(metric="accuracy"),
        stated(variant="momentum_lstm", control="no_momentum"),
        stated(metric="nfe_forward", split="train"),
        stated(metric="perplexity"),
    ]
    made = writer(space_published=told, space_scale="laptop")
    made.tested("lstm", [0.9, 0.8])
    made.tested("momentum_lstm", [0.7, 0.7])
    made.tested("momentum_lstm", [0.6, 0.6], "no_momentum")  # with a test loss of 0.2
    for trial, step, loss in ((0, 4, 0.5), (1, 4, 0.7)):
        values = {"test_loss": loss, "validation_loss": loss + 1, "nfe_forward": 20}
        made.report(trial, step, **values, test_accuracy=0.5)
    card = CARDS["published"](load_run(made.path))
    frame = card.frame.set_index(["contender", "split", "metric"])
    assert frame["here"].dropna().to_dict() == {
        ("lstm", "test", "loss"): pytest.approx(0.6),
        ("lstm", "validation", "loss"): pytest.approx(1.6),
        ("lstm", "test", "accuracy"): pytest.approx(0.5),
        ("momentum_lstm/no_momentum", "test", "loss"): pytest.approx(0.2),
        ("lstm", "train", "nfe_forward"): 20,
    }
    one = frame.loc[("lstm", "test", "loss")]
    assert (one["published"], one["spread"], one["seeds"]) == (0.275, 0.018, 2)
    assert one["spread_here"] == pytest.approx(0.2 / 2**0.5)
    assert set(frame["scale"]) == {"laptop"}
    assert "5 of 6 stand beside ours" in card.finding
    assert "at laptop scale" in card.finding


def test_published_numbers_without_a_counterpart_stand_alone(writer: Any) -> None:
    made = writer(space_published=[stated()])
    card = CARDS["published"](load_run(made.path))
    assert card.frame["here"].isna().all()
    assert "has not measured any of them yet" in card.finding


def test_controls_far_away_are_written_at_the_edge_and_do_not_set_the_scale(
    writer: Any, momentum: Any
) -> None:
    """A control that learns nothing must not press the differences that are asked for together."""
    momentum["controls"] |= {n: {"step": 1.0} for n in ("one", "two", "three", "broken")}
    made = writer(LSTM, momentum)
    made.tested("lstm", [0.90, 0.91, 0.92])
    made.tested("momentum_lstm", [0.91, 0.93, 0.92])
    for nth, control in enumerate(momentum["controls"]):
        tests = [0.1, 0.2, 0.1] if control == "broken" else [0.90, 0.91, 0.92 + nth / 500]
        made.tested("momentum_lstm", tests, control)
    run = load_run(made.path)
    for name, far, field in (("confirmed", 1, "test"), ("gains", 2, "gain")):
        card = CARDS[name](run)
        assert f"Far off the scale, and written at its edge: {far}." in card.finding
        spec = themed(card.chart)
        edges, placed = [], []
        for layer in spec["layer"]:
            rows = spec["datasets"][layer["data"]["name"]]
            if layer["encoding"].get("text", {}).get("field") == "edge":
                edges += [row["edge"] for row in rows]
            elif layer["encoding"].get("x", {}).get("field") in (field, "low", "value"):
                placed += [row.get("contender", row.get("comparison")) for row in rows]
        assert len(edges) == far
        assert edges == (["◂ 0.133"] if name == "confirmed" else ["◂ −0.777", "0.787 ▸"])
        assert placed
        assert not any("broken" in str(row) for row in placed)
    assert "Far off the scale: momentum_lstm/broken." in CARDS["curves"](run).finding


def test_a_variant_sets_the_scale_wherever_it_lies_and_few_rows_all_do() -> None:
    rows = pd.DataFrame({"test": [0.90, 0.91, 0.92, 0.93, 0.94, 0.1]})
    control = pd.Series([True, True, True, True, True, False])
    assert near(rows, "test", control).all()
    assert near(rows, "test", ~control).tolist() == [True] * 5 + [False]
    assert near(rows.tail(5), "test", ~control.tail(5)).all()
    assert near(rows.assign(test=0.5), "test", ~control).all()


def test_learned_coefficients_are_told_as_they_are_in_the_end(writer: Any) -> None:
    made = writer()
    made.tested("momentum_lstm", [0.9, 0.8])
    made.tested("momentum_lstm", [0.9, 0.8], "no_momentum")
    for trial, momenta in enumerate([(0.6, 0.7, 0.8), (0.6, 0.5, 0.4), (0.6, 0.1, 0.1)]):
        for step, value in enumerate(momenta, start=1):
            made.report(trial, step, momentum_layer0=value, test_accuracy=0.9)
    card = CARDS["readings"](load_run(made.path))
    assert "After the last epoch: momentum, layer 0, momentum_lstm 0.6 [0.4, 0.8]. " in card.finding
    assert "no_momentum" not in card.finding
    assert set(card.frame["contender"]) == {"momentum_lstm", "momentum_lstm/no_momentum"}
    (panel,) = themed(card.chart)["concat"]
    assert panel["title"] == "momentum, layer 0"
    assert panel["layer"][0]["encoding"]["x"]["axis"]["values"] == [1, 2, 3]
