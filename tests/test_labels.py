"""Labels given by reading: they meet their texts by hash, and a line that is not a label is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tingchao.models.corpora import JUDGES_ONLY, annotated, corpora, unlabelled
from tingchao.models.labels import Label, hash_of, read_handmade, read_labels, resolved
from tingchao.models.scores import SIGNALS, ModelError

GOOD = {
    "set": "weibo2018",
    "drawn": "random",
    "signals": ["outage"],
    "severity": 1,
    "live": True,
    "sentiment": "negative",
}


def _label(text: str) -> Label:
    return Label(hash_of(text), "weibo2018", "random", ("outage",), 1, live=True, sentiment="negative")


def test_labels_meet_their_texts_in_the_order_of_the_file() -> None:
    labels = [_label("又停水了"), _label("公园开花了"), _label("桥封了")]

    found = resolved(labels, ["桥封了", "没人读过的一句", "又停水了", "又停水了"])

    assert [one.text for one in found.texts] == ["又停水了", "桥封了"]
    assert found.texts[0].signals == ("outage",)
    assert found.missing == 1


def test_one_character_more_is_another_text() -> None:
    assert resolved([_label("停水")], ["停水。"]).missing == 1


def test_a_written_label_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(json.dumps({"hash": hash_of("又停水了"), **GOOD}) + "\n", "utf-8")

    assert read_labels(path) == [_label("又停水了")]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"signals": ["flood"]}, "flood"),
        ({"signals": ["outage", "safety"]}, "in this order"),
        ({"signals": []}, "without a signal"),
        ({"severity": 4}, "severity"),
        ({"sentiment": "angry"}, "angry"),
        ({"author": "x"}, "author"),
    ],
)
def test_a_line_that_is_no_label_is_named(tmp_path: Path, change: dict[str, object], said: str) -> None:
    path = tmp_path / "handmade.jsonl"
    good = {"text": "又停水了", **GOOD}
    path.write_text("".join(json.dumps(one) + "\n" for one in (good, good | change)), "utf-8")

    with pytest.raises(ModelError, match=rf"line 2.*{said}"):
        read_handmade(path)


def test_a_missing_file_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="git checkout"):
        read_labels(tmp_path / "labels.jsonl")


def test_shipped_labels_are_of_sets_that_may_train_and_name_no_text_twice() -> None:
    labels = read_labels()

    assert not {label.set for label in labels} & JUDGES_ONLY
    assert len({label.hash for label in labels}) == len(labels)
    assert {name for label in labels for name in label.signals} == set(SIGNALS)


@pytest.mark.shared
def test_every_shipped_label_has_its_text_and_none_is_in_the_annotated_texts(shared: Path) -> None:
    found = resolved(read_labels(), [*unlabelled(shared), *(row.text for row in corpora(shared))])
    known = {hash_of(row.text) for row in annotated(shared)}

    assert found.missing == 0
    assert not known & {hash_of(one.text) for one in found.texts}


def test_handmade_texts_are_many_each_once_and_of_every_signal() -> None:
    texts = read_handmade()

    assert len({one.text for one in texts}) == len(texts) >= 300
    assert {name for one in texts for name in one.signals} == set(SIGNALS)
