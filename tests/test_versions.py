"""Which model is in use: the shipped one until another is promoted, and back again."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import skops.io

from tingchao.models import versions
from tingchao.models.files import FILE, packed, read_model
from tingchao.models.scorer import Scorer
from tingchao.models.scores import ModelError
from tingchao.models.versions import SHIPPED, SHIPPED_FOLDER, in_use, keep, promote, rollback

T0 = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def another(folder: Path, seed: int) -> tuple[Path, str]:
    """A model that differs from the shipped one in its seed alone, as training writes it; its hash."""
    arrays, settings, _ = read_model(SHIPPED_FOLDER / FILE)
    made = folder / f"made{seed}"
    made.mkdir()
    skops.io.dump(packed(arrays, settings | {"seed": seed}), made / FILE)
    return made, read_model(made / FILE)[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


def test_without_a_folder_the_shipped_model_is_in_use(folder: Path) -> None:
    assert in_use(folder) == SHIPPED_FOLDER
    (only,) = versions.versions(folder)
    assert (only.in_use, only.shipped, only.name) == (True, True, Scorer.load().version)
    with pytest.raises(ModelError, match="nothing to go back to"):
        rollback(folder, T0)
    assert not folder.exists()


def test_promoted_it_is_read_and_rolled_back_the_one_before_is(folder: Path, tmp_path: Path) -> None:
    first, second = (kept(folder, tmp_path, seed) for seed in (1, 2))
    promote(folder, first, T0, "better on weibo2018")
    promote(folder, second, T0 + timedelta(days=1), "better on verdicts")
    assert Scorer.load(in_use(folder)).version == second
    listed = versions.versions(folder)
    assert {one.name: one.in_use for one in listed if not one.shipped} == {first: False, second: True}
    assert {one.reason for one in listed} == {"", "better on weibo2018", "better on verdicts"}
    assert rollback(folder, T0) == (second, first)
    assert rollback(folder, T0) == (first, SHIPPED)
    assert in_use(folder) == SHIPPED_FOLDER
    assert rollback(folder, T0, to=second[:5]) == (SHIPPED, second)
    assert rollback(folder, T0, to=SHIPPED) == (second, SHIPPED)
    assert rollback(folder, T0, to=first) == (SHIPPED, first)
    assert rollback(folder, T0, to=Scorer.load().version) == (first, SHIPPED)
    assert len(versions.versions(folder)) == 3  # nothing was thrown away


def kept(folder: Path, made_in: Path, seed: int) -> str:
    made, sha256 = another(made_in, seed)
    return keep(made, folder, sha256)


def test_what_is_not_there_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model version 'abc'"):
        promote(folder, "abc", T0, "")
    made, sha256 = another(tmp_path, 1)
    name = keep(made, folder, sha256)
    promote(folder, name, T0, "")
    with pytest.raises(ModelError, match=f"expected one of shipped, {name}"):
        rollback(folder, T0, to="zzz")
    shutil.rmtree(folder / name)
    with pytest.raises(ModelError, match=r"rollback"):
        in_use(folder)
    assert rollback(folder, T0) == (name, SHIPPED)


def test_a_damaged_list_of_steps_is_named(folder: Path) -> None:
    folder.mkdir()
    (folder / "use.json").write_text("[{")
    with pytest.raises(ModelError, match=r"use\.json.*delete it"):
        in_use(folder)


def test_a_tampered_version_is_refused_when_it_is_read(folder: Path, tmp_path: Path) -> None:
    made, sha256 = another(tmp_path, 1)
    name = keep(made, folder, sha256)
    promote(folder, name, T0, "")
    stored = skops.io.load(folder / name / FILE, trusted=[])
    skops.io.dump(stored | {"array bias": stored["array bias"] + 1}, folder / name / FILE)
    with pytest.raises(ModelError, match="it was changed"):
        Scorer.load(in_use(folder))


def test_keeping_the_same_model_twice_is_once(folder: Path, tmp_path: Path) -> None:
    made, sha256 = another(tmp_path, 1)
    assert keep(made, folder, sha256) == keep(made, folder, sha256)
    assert len(versions.versions(folder)) == 2


def test_a_folder_that_cannot_be_written_is_named_with_the_setting(tmp_path: Path) -> None:
    made, sha256 = another(tmp_path, 1)
    (tmp_path / "models").write_text("a file stands where the folder should be")
    with pytest.raises(ModelError, match=r"\[models\] dir"):
        keep(made, tmp_path / "models", sha256)


def test_a_damaged_version_is_listed_as_such_and_never_taken_into_use(folder: Path, tmp_path: Path) -> None:
    good, bad = (kept(folder, tmp_path, seed) for seed in (1, 2))
    (folder / bad / FILE).write_bytes((folder / bad / FILE).read_bytes()[:1000])
    assert {one.name: bool(one.fault) for one in versions.versions(folder) if not one.shipped} == {
        good: False,
        bad: True,
    }
    for take in (lambda: promote(folder, bad, T0, ""), lambda: rollback(folder, T0, to=bad)):
        with pytest.raises(ModelError, match=r"models rollback"):
            take()
    (folder / good).rename(folder / "aaaaaaaaaaaa")
    with pytest.raises(ModelError, match=f"holds model {good}"):
        rollback(folder, T0, to="aaaa")
    assert in_use(folder) == SHIPPED_FOLDER
