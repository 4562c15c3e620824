"""The plan: everything that was decided before the first trial, frozen into the run directory."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from ..spaces import Space

FORMAT = 1
CONFIRM_SEEDS = 1_000_000
"""Search seeds count up from the plan's seed, confirm seeds from this far above: never the same."""
EXTENDABLE = ("trials", "seeds", "searches", "budget")
"""The decisions that an extension may raise. All others hold for the life of a run."""


class BadInput(ValueError):
    """What was asked for cannot be done; the message says the rule, what was seen and a way out."""


@dataclass(frozen=True)
class Stage:
    """A plan between two extensions. Its new trials are numbered after those of earlier stages.

    Attributes:
        first: number of its first search trial.
        earlier: search trials per variant before it.
        trials: search trials per variant, with those before it.
        seeds: for each contender.
        confirms: number of its first confirm trial.
    """

    first: int
    earlier: int
    trials: int
    seeds: int
    confirms: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A sweep's decisions. The attributes are the keys of plan.json.

    Attributes:
        name: of the sweep; the space's.
        command: what was typed.
        created: when, ISO 8601, UTC.
        space: `Space.to_json()` with the reference that finds it again and its file's hash.
        trials: search trials per variant; of a grid, those of the variant with most points.
        epochs: of a full training.
        seeds: fresh seeds for each contender of the confirm phase.
        seed: what all randomness of the sweep follows from.
        sampler: its name and all its settings.
        scheduler: likewise.
        concurrency: trials at a time; None on a cluster for as many as fit at any moment.
        cpus: of each trial; fractions allowed.
        gpus: likewise.
        resources: likewise, of those that a cluster's machines were given by name.
        checkpoints: where trainings leave theirs, a folder or a URI; None for the run directory.
        time_budget: seconds for one start of the sweep, None for no limit.
        storage: the ledger's: a file in the run directory, or a URL.
        study_prefix: what the names of its studies begin with, for a database that holds many runs.
        data: the folder of data files that tasks look in, None for what packages bring.
        versions: of Python and the packages.
        git: the code's revision, None outside a checkout.
        hardware: of the driver's machine.
        searches: search trials of each variant, where they are not `trials` for all.
        trial_timeout: seconds that one attempt at a trial may take, None for no limit.
        budget: the most that the search may cost, by metric; the variants share it equally.
        batch: of a deterministic sweep, how many trials of a variant hear of the same earlier ones;
            0 where each hears of all that have ended.
        extensions: the decisions that held before each extension, oldest first: `EXTENDABLE`, and
            when and with which command they were replaced.
        imported: of each place whose trials the sampler knows from the start: where it is (`run`),
            of a run also when and with which code it was made, how many search trials ran to their
            end there (`complete`, by variant), and those that are known (`trials`).
    """

    name: str
    command: str
    created: str
    space: dict[str, Any]
    trials: int
    epochs: int
    seeds: int
    seed: int
    sampler: dict[str, Any]
    scheduler: dict[str, Any]
    concurrency: int | None
    cpus: float
    gpus: float
    time_budget: float | None
    storage: str
    study_prefix: str
    data: str | None
    versions: dict[str, str]
    git: dict[str, Any] | None
    hardware: dict[str, Any]
    searches: dict[str, int] = field(default_factory=dict)
    trial_timeout: float | None = None
    budget: dict[str, float] = field(default_factory=dict)
    batch: int = 0
    extensions: list[dict[str, Any]] = field(default_factory=list)
    resources: dict[str, float] = field(default_factory=dict)
    checkpoints: str | None = None
    imported: list[dict[str, Any]] = field(default_factory=list)
    format: int = FORMAT

    @property
    def variants(self) -> list[str]:
        """The variants' names, in the space's order."""
        return [variant["name"] for variant in self.space["variants"]]

    @property
    def needs(self) -> dict[str, float]:
        """What each trial needs, by Ray's names."""
        return {"CPU": self.cpus, "GPU": self.gpus, **self.resources}

    def controls(self, variant: str) -> list[str]:
        """The names of a variant's controls."""
        found = next(v for v in self.space["variants"] if v["name"] == variant)
        return list(found["controls"])

    def contenders(self) -> list[tuple[str, str | None]]:
        """Who is confirmed: each variant (control None) and each of its controls."""
        return [(v, control) for v in self.variants for control in (None, *self.controls(v))]

    def study_name(self, variant: str, phase: str) -> str:
        """What the study of a variant and phase is called in the ledger's storage."""
        return f"{self.study_prefix}{variant}/{phase}"

    def planned(self, variant: str, phase: str) -> int:
        """How many trials a variant has in a phase."""
        if phase == "search":
            return self.searches.get(variant, self.trials)
        return self.seeds * (1 + len(self.controls(variant)))

    @property
    def second_objective(self) -> str | None:
        """The metric that the search makes small beside the deciding one, if any."""
        return self.space["cost"] if self.sampler["name"] == "nsga2" else None

    def heard_before(self, index: int) -> int | None:
        """The sampler of a variant's trial hears of those below this index; None for all."""
        return index - index % self.batch if self.batch else None

    def search_number(self, variant: str, index: int) -> int:
        """The run-wide number of a variant's search trial: the variants take turns."""
        stage = next(stage for stage in self.stages() if index < stage.trials)
        place = self.variants.index(variant)
        return stage.first + (index - stage.earlier) * len(self.variants) + place

    def searching(self, number: int) -> str | None:
        """The variant whose search trial has this number; None of a confirm trial."""
        stage = next(stage for stage in reversed(self.stages()) if stage.first <= number)
        return (
            self.variants[(number - stage.first) % len(self.variants)]
            if number < stage.confirms
            else None
        )

    def stages(self) -> list[Stage]:
        """The plan as it was first, and after each extension."""
        found: list[Stage] = []
        for told in (*self.extensions, {"trials": self.trials, "seeds": self.seeds}):
            first = found[-1].confirms + found[-1].seeds * len(self.contenders()) if found else 0
            earlier = found[-1].trials if found else 0
            searches = (told["trials"] - earlier) * len(self.variants)
            found.append(Stage(first, earlier, told["trials"], told["seeds"], first + searches))
        return found

    def confirm_trials(self, variant: str) -> list[tuple[int, str | None, int]]:
        """Number, control, seed of a variant's confirm trials; all contenders share the seeds.

        The numbers are of the last stage of the plan.
        """
        contenders, start = self.contenders(), self.stages()[-1].confirms
        return [
            (start + i * len(contenders) + place, control, self.seed + CONFIRM_SEEDS + i)
            for i in range(self.seeds)
            for place, (name, control) in enumerate(contenders)
            if name == variant
        ]

    def save(self, folder: Path) -> None:
        """Writes plan.json, whole or not at all."""
        temporary = folder / "plan.json.tmp"
        temporary.write_text(json.dumps(asdict(self), indent=2) + "\n")
        temporary.replace(folder / "plan.json")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads plan.json.

        Raises:
            BadInput: the folder holds no plan, or one that this version does not read.
        """
        try:
            content = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadInput(
                f"{folder} is no run directory: its plan.json cannot be read ({error}); "
                "give the folder that `momentune sweep --out` made"
            ) from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise BadInput(
                f"{folder}/plan.json is not of format {FORMAT}, which this version reads"
            )
        try:
            return cls(**content)
        except TypeError as error:  # "Plan.__init__() missing 1 required ..."
            raise BadInput(
                f"{folder}/plan.json is not as a sweep writes it: {str(error).partition(' ')[2]}; "
                "put it back from a backup"
            ) from error


def without_password(url: str) -> str:
    """The URL as it may be shown and kept."""
    return re.sub(r"//([^:/@]*):[^@]*@", r"//\1:***@", url)


def resume_command(folder: Path, address: str | None = None) -> str:
    """What to type to go on with a run."""
    where = ["--address", address] if address else []
    return shlex.join(["momentune", "resume", str(folder), *where])


def make_run_directory(folder: Path) -> None:
    """Makes the run directory, which must not exist, and shows that it can be written to.

    Raises:
        BadInput: it exists, or cannot be made or written.
    """
    if folder.exists():
        begun = (folder / "plan.json").exists()
        raise BadInput(
            f"--out {folder} exists; a sweep needs a new directory. "
            + (f"To go on with the sweep in it: {resume_command(folder)}" * begun)
            + ("No sweep has begun in it: delete it, or choose another place" * (not begun))
        )
    try:
        folder.mkdir(parents=True)
        probe = folder / "probe"
        probe.write_text("")
        probe.replace(folder / "probed").unlink()
    except OSError as error:
        raise BadInput(
            f"--out {folder} cannot be written: {error.strerror}; choose another place"
        ) from error


def forget_run_directory(folder: Path) -> None:
    """Removes a run directory in which no trial has reported."""
    metrics = folder / "metrics.jsonl"
    if not metrics.exists() or not metrics.stat().st_size:
        shutil.rmtree(folder, ignore_errors=True)


def check_unchanged(plan: Plan, space: Space) -> None:
    """Checks that a space is still the one that was planned.

    Raises:
        BadInput: its parameters, variants, controls, task or data have changed since.
    """
    if space.to_json()["digest"] != plan.space["digest"]:
        raise BadInput(
            f"space {plan.space['reference']} has changed since this sweep was planned, so its "
            "trials would no longer be comparable; put it back as it was, or start a new sweep"
        )
