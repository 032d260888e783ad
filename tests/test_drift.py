"""Drift: what fits is left alone, what does not is named with its source, and chance alone is no drift."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from tingchao.models.drift import (
    REFERENCE,
    Drift,
    Profile,
    Reference,
    drift,
    profile,
    read_reference,
    stability,
)
from tingchao.models.scorer import Scorer
from tingchao.models.scores import SIGNALS, ModelError, Scores
from tingchao.models.versions import SHIPPED_FOLDER
from tingchao.pipeline.records import Scored
from tingchao.pipeline.shows import console, drift_dict, drift_sentence, drift_table
from tingchao.pipeline.sqlite_store import SqliteStore
from tingchao.pipeline.weeks import texts_by_week

MONDAY = date(2026, 3, 2)


class Fake:
    """A text is "chance unknown words": what the model says of it, and how many of its ten words it does not know."""

    version = "fake"

    def score(self, texts: Sequence[str]) -> list[Scores]:
        return [self._one(text) for text in texts]

    def unknown(self, texts: Sequence[str]) -> list[tuple[int, int]]:
        return [(10, int(text.split()[1])) for text in texts]

    @staticmethod
    def _one(text: str) -> Scores:
        if text == "foreign":
            return Scores(0.3, 0.4, 0.3, (0.0,) * len(SIGNALS), 0.0, 0.0, 0.0, lang="other", abstained=True)
        chance = float(text.split(maxsplit=1)[0])
        return Scores(chance, 1 - chance, 0.0, (chance,) * len(SIGNALS), 0.0, chance, 0.0)


def talk(count: int, seed: int, *, mood: float = 1.0, unknown: float = 0.1) -> list[str]:
    """So many texts; the greater `mood`, the higher the chances."""
    generator = np.random.default_rng(seed)
    return [
        f"{c:.3f} {u}"
        for c, u in zip(generator.beta(mood, 4, count), generator.binomial(10, unknown, count), strict=True)
    ]


def compared(cells: dict[tuple[str, date], list[str]], *groups: Profile) -> Drift:
    return drift(cells, Fake(), Reference("fake", groups) if groups else None)  # type: ignore[arg-type]


def group(name: str, texts: Sequence[str]) -> Profile:
    return profile(name, Fake(), texts)  # type: ignore[arg-type]


NEWS, POSTS = group("news", talk(2000, 1)), group("posts", talk(2000, 2, mood=4))


@pytest.mark.parametrize("count", [50, 200, 2000])
def test_talk_like_that_of_any_group_is_fine_whatever_its_size(count: int) -> None:
    cells = {(f"s{n}", MONDAY): talk(count, 100 + n, mood=1 + 3 * (n % 2)) for n in range(40)}
    found = compared(cells, NEWS, POSTS)
    assert found.level == "fine"
    assert found.worst is None


def test_words_that_no_group_has_are_a_worry_with_its_source() -> None:
    cells = {("calm", MONDAY): talk(300, 5), ("strange", MONDAY): talk(300, 6, unknown=0.3)}
    found = compared(cells, NEWS)
    assert (found.level, found.worst and found.worst.source) == ("worry", "strange")
    for language, words in {"zh": ("需要担心", "strange", "不认识"), "en": ("Worry", "strange", "unknown")}.items():
        assert all(word in drift_sentence(found, language) for word in words)


def test_scores_like_those_of_no_group_are_a_worry_and_of_a_middle_one_worth_a_look() -> None:
    assert compared({("s", MONDAY): talk(300, 7, mood=12)}, NEWS, POSTS).level == "worry"
    assert compared({("s", MONDAY): talk(300, 8, mood=1.4)}, NEWS).level == "look"


def test_a_source_that_changes_is_told_although_it_is_like_another_group_now() -> None:
    cells = {("s", MONDAY + timedelta(weeks=n)): talk(200, n, mood=1.0 if n < 3 else 4.0) for n in range(4)}
    found = compared(cells, NEWS, POSTS)
    assert [cell.level for cell in found.cells] == ["fine", "fine", "fine", "worry"]
    assert {one.against for one in found.cells[-1].differences if one.level == "worry"} == {"before"}
    assert "之前几周" in drift_sentence(found, "zh")
    assert compared(cells).level == "worry"  # the weeks before need no reference


def test_what_is_mostly_foreign_is_a_worry_and_few_posts_say_nothing() -> None:
    found = compared({("s", MONDAY): ["foreign"] * 90 + talk(10, 1)}, NEWS)
    assert (found.level, found.cells[0].texts, found.cells[0].abstained) == ("worry", 10, 90)
    assert "not Chinese" in drift_sentence(found, "en")
    few = compared({("s", MONDAY): talk(49, 1, unknown=0.9)}, NEWS)
    assert few.level == "few"
    assert "50" in drift_sentence(few, "en")
    assert compared({}, NEWS).level == "few"


def test_without_a_reference_that_is_said() -> None:
    found = compared({("s", MONDAY): talk(100, 1), ("s", MONDAY + timedelta(weeks=1)): talk(100, 2)})
    assert found.level == "fine"
    assert "reference.json" in drift_sentence(found, "zh")


def test_the_reference_of_another_model_says_nothing_of_this_one() -> None:
    cells = {("s", MONDAY): talk(100, 1, unknown=0.5)}
    found = drift(cells, Fake(), Reference("another", (NEWS,)))  # type: ignore[arg-type]
    assert found == drift(cells, Fake(), None)  # type: ignore[arg-type]


def test_a_long_reason_leaves_the_other_columns_of_the_table_whole() -> None:
    found = compared({("city-news", MONDAY): talk(100, 1, unknown=0.5)}, NEWS)
    cell = found.cells[0]
    told = structs.replace(found, cells=(structs.replace(cell, differences=cell.differences * 9),))
    with (shown := console()).capture() as capture:
        shown.print(drift_table(told, "en"))
    assert "city-news" in capture.get()
    assert MONDAY.isoformat() in capture.get()


def test_as_json_everything_is_there() -> None:
    found = json.loads(json.dumps(drift_dict(compared({("s", MONDAY): talk(100, 1, unknown=0.5)}, NEWS))))
    assert (found["worry"], found["level"], set(found["sentence"])) == (True, "worry", {"zh", "en"})
    (cell,) = found["cells"]
    assert (cell["source"], cell["week"], cell["texts"]) == ("s", "2026-03-02", 100)
    assert {one["what"] for one in cell["differences"]} == {"unknown", "negative", "signal", "live"}


def test_the_index_of_equal_groups_is_nought_and_grows_with_the_difference() -> None:
    assert stability(NEWS, NEWS, "negative") == pytest.approx(0)
    near, far = group("a", talk(2000, 3, mood=1.5)), group("b", talk(2000, 3, mood=8))
    assert 0 < stability(NEWS, near, "negative") < stability(NEWS, far, "negative")
    assert stability(NEWS, far, "live") == pytest.approx(stability(far, NEWS, "live"))


# The shipped reference, the store and the command


def test_the_reference_is_that_of_the_shipped_model() -> None:
    reference = read_reference(SHIPPED_FOLDER)
    assert reference is not None
    assert reference.model == Scorer.load().version, "write it with `tingchao evaluate`"
    assert sum(one.texts for one in reference.groups) > 5000
    assert all(sum(counts) == one.texts for one in reference.groups for counts in one.counts.values())


def test_a_damaged_reference_is_named(tmp_path: Path) -> None:
    (tmp_path / REFERENCE).write_text("[{")
    with pytest.raises(ModelError, match=r"reference\.json.*put it back"):
        read_reference(tmp_path)


def test_a_model_without_a_reference_has_none(tmp_path: Path) -> None:
    assert read_reference(tmp_path) is None
    assert (SHIPPED_FOLDER / REFERENCE).exists()


def test_characters_that_nobody_writes_are_unknown_and_everyday_words_are_not() -> None:
    scorer = Scorer.load()
    (words, unknown), (strange, most) = scorer.unknown(["今天早上地铁停运了，大家都在等", "龘靐齉爩麤灪鱻麣籱灩"])
    assert words > 5
    assert unknown == 0
    assert most > strange / 2


def test_texts_come_by_source_and_beijing_week(tmp_path: Path, make_scored: Callable[..., Scored]) -> None:
    store = SqliteStore(tmp_path / "a.db")
    monday = datetime(2026, 3, 1, 16, 0, tzinfo=UTC)  # midnight in Beijing
    hours = [*range(-3, 3), *range(160, 170)]
    posts = []
    for n, hour in enumerate(hours):
        at = monday + timedelta(hours=hour)
        posts.append(make_scored(f"p{n}", f"帖{n}", source="ab"[n % 2], title="题", published_at=at, fetched_at=at))
    store.put(posts)
    found = texts_by_week(store, monday - timedelta(days=30), monday + timedelta(days=30))
    assert sum(map(len, found.values())) == len(hours)
    assert {week for _, week in found} == {MONDAY - timedelta(weeks=1), MONDAY, MONDAY + timedelta(weeks=1)}
    assert "题\n帖0" in found["a", MONDAY - timedelta(weeks=1)]


def test_the_command_says_one_sentence_and_its_exit_code_is_whether_to_worry(
    tmp_path: Path, make_scored: Callable[..., Scored]
) -> None:
    db = tmp_path / "tingchao.db"
    store, now = SqliteStore(db), datetime.now(UTC)
    rare = "龘靐齉爩麤灪鱻麣籱灩"
    store.put(
        [
            make_scored(f"p{n}", rare[n % 9 :] + rare[: n % 7], source="odd", published_at=now, fetched_at=now)
            for n in range(60)
        ]
    )
    command = [sys.executable, "-m", "tingchao.pipeline.cli", "models", "drift", "--db", str(db)]
    done = subprocess.run([*command, "--json", "--until", "2999-01-01"], capture_output=True, check=False)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert found["worst"]["source"] == "odd"
    quiet = subprocess.run(
        [*command, "--until", "2020-01-01", "--since", "2019-12-01"], capture_output=True, check=False
    )
    assert quiet.returncode == 0
    assert quiet.stdout.decode().strip()
