"""Where the files of the Long Range Arena lie (Tay et al., arXiv:2011.04006)."""

from pathlib import Path

from .sources import VARIABLE

ARCHIVE = "https://storage.googleapis.com/long-range-arena/lra_release.gz"
_ROOTS = ("", "lra_release", "lra_release/lra_release")  # in the data folder; as it unpacks


def arena(folder: Path | None, name: str) -> Path:
    """A folder of the Long Range Arena's release.

    Args:
        folder: of the user's data.
        name: as in the release.

    Raises:
        FileNotFoundError: it is not there.
    """
    for root in _ROOTS if folder else ():
        assert folder is not None
        if (folder / root / name).is_dir():
            return folder / root / name
    raise FileNotFoundError(
        f"no folder {name} of the Long Range Arena: unpack {ARCHIVE} (a tar file of several GB) "
        f"into the folder that --data or {VARIABLE} names, or copy {name} there"
    )
