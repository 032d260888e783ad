"""A folder of model versions: which one is in use, which were before it, and why each took the other's place.

    FOLDER/use.json          the steps that led to the version in use, the last one in force
    FOLDER/<version>/        one trained version: the model file and what lies beside it

The shipped model is always there, is never written to, and is in use until something is promoted. Changing versions
is one rename of one small file, so a reader sees the old one or the new one. A scoring process reads its model once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tingchao.models.files import FILE, read_model
from tingchao.models.scores import ModelError

SHIPPED = "shipped"
SHIPPED_FOLDER = Path(__file__).parent
_USE = "use.json"
NAME = 12  # digits of the SHA-256 that name a version, as `Scorer.version`


class Step(msgspec.Struct, frozen=True):
    """A version that was taken into use."""

    version: str
    at: datetime
    reason: str


class Version(msgspec.Struct, frozen=True):
    """One version as `tingchao models list` shows it."""

    name: str  # the first digits of the hash
    sha256: str  # over sorted arrays and settings
    made_at: datetime  # of the file
    in_use: bool
    shipped: bool
    reason: str  # why it was taken into use, if it ever was
    fault: str = ""  # why it cannot be used


def in_use(folder: Path) -> Path:
    """Where the model in use lies: a version below `folder`, or the shipped one. Raises ModelError if it is gone."""
    name = _steps(folder)[-1].version
    if name == SHIPPED:
        return SHIPPED_FOLDER
    found = folder / name
    if not (found / FILE).exists():
        raise ModelError(
            f"model version {name}, which {folder / _USE} names, is not in {folder}: "
            "put it back, or go back to the one before with `tingchao models rollback`"
        )
    return found


def versions(folder: Path) -> list[Version]:
    """The shipped version and those of the folder, the oldest first, also those that cannot be used."""
    steps = _steps(folder)
    reasons = {step.version: step.reason for step in steps}

    def version(place: Path, name: str) -> Version:
        try:
            sha256, fault = read_model(place / FILE)[2], ""
        except ModelError as err:
            sha256, fault = "", str(err)
        made = datetime.fromtimestamp((place / FILE).stat().st_mtime, UTC)
        used, told = steps[-1].version == name, reasons.get(name, "")
        return Version(sha256[:NAME] or name, sha256, made, used, name == SHIPPED, told, fault)

    kept = [version(place, place.name) for place in _kept(folder)]
    return [version(SHIPPED_FOLDER, SHIPPED), *sorted(kept, key=lambda one: (one.made_at, one.name))]


def keep(made: Path, folder: Path, sha256: str) -> str:
    """Take a folder with a trained model in as a version; its name."""
    name = sha256[:NAME]
    if (folder / name / FILE).exists():
        return name
    arriving = folder / f".{name}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(arriving, ignore_errors=True)
        shutil.copytree(made, arriving)
        arriving.rename(folder / name)
    except OSError as err:
        raise _unwritable(folder, err) from err
    return name


def promote(folder: Path, name: str, at: datetime, reason: str) -> None:
    """Take a version that the folder keeps into use. Raises ModelError for one that it lacks, or that is damaged."""
    if not (folder / name / FILE).exists():
        known = ", ".join(place.name for place in _kept(folder)) or "none"
        raise ModelError(f"no model version {name!r} in {folder}; it keeps {known}, and {SHIPPED!r} is always there")
    _check(folder, name)
    _write(folder, [*_steps(folder), Step(name, at, reason)])


def rollback(folder: Path, at: datetime, to: str = "") -> tuple[str, str]:
    """Take the version that was in use before into use again, or `to` (a beginning of its name or hash, or "shipped").

    The names of the version left and of the one now in use. Raises ModelError when there is none.
    """
    steps = _steps(folder)
    left = steps[-1].version
    if not to:
        if len(steps) < 2:
            raise ModelError(f"the shipped model is in use and none was before it in {folder}: nothing to go back to")
        _check(folder, steps[-2].version)
        _write(folder, steps[:-1])
        return left, steps[-2].version
    known = [SHIPPED, *(place.name for place in _kept(folder))]
    found = [name for name in known if name.startswith(to)]
    if not found and read_model(SHIPPED_FOLDER / FILE)[2].startswith(to):
        found = [SHIPPED]  # `tingchao models list` shows its hash
    if len(found) != 1:
        raise ModelError(f"model version {to!r}: expected one of {', '.join(known)}")
    _check(folder, found[0])
    back = [number for number, step in enumerate(steps) if step.version == found[0]]
    _write(folder, steps[: back[-1] + 1] if back else [*steps, Step(found[0], at, f"chosen instead of {left}")])
    return left, found[0]


def _check(folder: Path, name: str) -> None:
    """Raises ModelError for a version that cannot be used, before it is."""
    if name != SHIPPED:
        sha256 = read_model(folder / name / FILE)[2]
        if not sha256.startswith(name):
            raise ModelError(f"{folder / name} holds model {sha256[:NAME]}, expected {name}: rename the folder")


def _kept(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (place for place in sorted(folder.iterdir()) if place.name[0] != "." and (place / FILE).exists())


def _steps(folder: Path) -> list[Step]:
    """The steps that led to the version in use; the first is always the shipped one."""
    first = Step(SHIPPED, datetime.fromtimestamp((SHIPPED_FOLDER / FILE).stat().st_mtime, UTC), "")
    path = folder / _USE
    if not path.exists():
        return [first]
    try:
        return [first, *msgspec.json.decode(path.read_bytes(), type=list[Step])]
    except (OSError, msgspec.DecodeError) as err:
        raise ModelError(f"{path}: {err}; delete it to use the shipped model, or put it back") from err


def _write(folder: Path, steps: list[Step]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        arriving = folder / f".{_USE}"
        arriving.write_bytes(msgspec.json.format(msgspec.json.encode(steps[1:]), indent=1) + b"\n")
        os.replace(arriving, folder / _USE)  # noqa: PTH105 the one call that replaces and is atomic
    except OSError as err:
        raise _unwritable(folder, err) from err


def _unwritable(folder: Path, err: OSError) -> ModelError:
    return ModelError(f"{folder}: {err.strerror}; name a folder that can be written with [models] dir in tingchao.toml")
