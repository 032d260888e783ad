"""The folders of ../shared become labelled rows: which texts may train, what each says of which head.

Never read here, because their terms say research or academic use: rumour_weibo21, neardup_built, the lexicons,
cec_emergency, lcqmc_pairs, thucnews_titles (nor their rows among the annotated texts, unless to judge a model).
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tingchao.models.labels import Labelled, hash_of, read_adverts, read_handmade, read_labels, resolved
from tingchao.models.normalise import plain_batch
from tingchao.models.scores import SENTIMENTS, SIGNALS, ModelError

_DAMAGED = (OSError, EOFError, zlib.error, UnicodeDecodeError)
_EXPECTED = "expected a CSV file as its folder's README describes"
JUDGES_ONLY = frozenset({"rumour_weibo21", "thucnews_titles"})
_SENTIMENT = {name: number for number, name in enumerate(SENTIMENTS)} | {"mixed": 1, "0": 0, "1": 2}
# spam_fbs_sms: words come apart by blanks, masks in capitals stand for what was cut out, and messages say how to end
# them. All would give the set away: with them "BLACKPINK" and "客房退订新规" looked like adverts.
_SMS_MASK = re.compile(r"URL\w*|[A-Z]{3,}>?")
_NAME = re.compile(r"[@＠][\w-]{1,30}")  # near-duplicates differ in whom they name
_SMS_SHORTEST = 10  # characters: what is left of others, such as "QQ", says nothing
_SMS_END = re.compile(r"回复?[a-z]{0,6}退订|退订回复?[a-z]{0,6}|td退订|退订td", re.IGNORECASE)


class DataError(ModelError):
    """A data folder is not as described; the message names the file."""


@dataclass(frozen=True, slots=True)
class Row:
    """One text and what is known of it; None where its set does not say."""

    text: str
    # weibo, review, usual, virus, car, sms, annotated, read (labels.jsonl, handmade.jsonl), desk (judged by staff)
    corpus: str
    sentiment: int | None = None  # index into SENTIMENTS
    signals: tuple[bool, ...] | None = None
    severity: int | None = None
    live: bool | None = None
    advert: bool | None = None
    random: bool = False  # drawn at random: the mix for which probabilities hold
    part: str = ""  # category, or the set of an annotated text
    may_train: bool = True
    key: str = field(default="", compare=False)  # equal for near-duplicates, see `grouped`


def _table(path: Path, *columns: str) -> Iterator[dict[str, str]]:
    """The rows of a CSV file; each has the named columns."""
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8", newline="")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8", newline="") as file
        ):
            for number, row in enumerate(csv.DictReader(file), 1):
                if missing := [name for name in columns if row.get(name) is None]:
                    raise DataError(f"{path}, row {number}: no {', '.join(missing)}; {_EXPECTED}")
                yield row
    except (*_DAMAGED, csv.Error) as err:
        raise DataError(f"{path}: {err}; {_EXPECTED}") from err


def _felt(path: Path, column: str) -> Iterator[tuple[dict[str, str], int]]:
    """The rows of a CSV file, each with its sentiment, which stands in a column."""
    for number, row in enumerate(_table(path, "text", column), 1):
        if row[column] not in _SENTIMENT:
            raise DataError(f"{path}, row {number}: {column} {row[column]!r}, expected one of {', '.join(_SENTIMENT)}")
        yield row, _SENTIMENT[row[column]]


def _reviews(data: Path) -> Iterator[Row]:
    for row, feeling in _felt(data / "chnsenticorp/dev.csv.gz", "label"):
        yield Row(row["text"], "review", feeling, part="chnsenticorp")
    for row, feeling in _felt(data / "online_shopping10/dev.csv.gz", "label"):
        yield Row(row["text"], "review", feeling, part=row.get("category") or "")


def _posts(data: Path) -> Iterator[Row]:
    for row, feeling in _felt(data / "weibo2018/dev.csv.gz", "label"):
        yield Row(row["text"], "weibo", feeling)
    for corpus, name in (("usual", "dev_usual.csv"), ("virus", "dev_virus.csv.gz")):
        for row in _table(data / "smp2020_ewect" / name, "text", "sentiment", "emotion"):
            yield Row(row["text"], corpus, _SENTIMENT.get(row["sentiment"]), part=row["emotion"])
    for row, feeling in _felt(data / "bdci_car2018/dev.csv.gz", "sentiment"):
        yield Row(row["text"], "car", feeling)


def _spam(data: Path) -> Iterator[Row]:
    for row in _table(data / "spam_fbs_sms/dev.csv.gz", "text", "label"):
        text = _SMS_END.sub("", _SMS_MASK.sub("", row["text"]).replace(" ", ""))
        if len(text) >= _SMS_SHORTEST:
            yield Row(text, "sms", advert=True, part=row["label"])


def annotated(shared: Path) -> Iterator[Row]:
    """The texts labelled one by one against the guideline."""
    path = shared / "annotation/labelled.jsonl"
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as err:
        raise DataError(f"{path}: {err}; expected the annotated texts, one JSON object a line") from err
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            yield Row(
                row["text"],
                "annotated",
                _SENTIMENT[row["sentiment"]],
                tuple(name in row["signals"] for name in SIGNALS),
                int(row["severity"]),
                bool(row["live"]),
                random=row["drawn"] == "random",
                part=row["set"],
                may_train=row["set"] not in JUDGES_ONLY,
            )
        except (ValueError, KeyError, TypeError) as err:
            raise DataError(f"{path}, line {number}: {err}; expected the fields of GUIDELINE.md") from err


def _labelled(one: Labelled) -> Row:
    return Row(
        one.text,
        "read",
        None if one.advert or one.sentiment is None else SENTIMENTS.index(one.sentiment),  # praise that is paid for
        tuple(name in one.signals for name in SIGNALS),
        one.severity,
        one.live,
        advert=one.advert,
        random=one.drawn == "random",
        part=one.set,
    )


def corpora(shared: Path) -> list[Row]:
    """Every labelled row, in the order of the files, with the key of its group of near-duplicates."""
    data = shared / "data"
    rows = _told_apart([*_posts(data), *_reviews(data), *annotated(shared), *_spam(data)])
    return [replace(row, key=key) for row, key in zip(rows, grouped([row.text for row in rows]), strict=True)]


def read_later(rows: Sequence[Row], pool: Sequence[str]) -> list[Row]:
    """Texts of `rows` and `pool` that got labels later, and our own; they only train.

    Each has the key of the group of `rows` that it falls into. The keys of `rows` stay, so the same rows judge.
    """
    found = resolved(read_labels(), [*pool, *(row.text for row in rows)])
    more = _told_apart([_labelled(one) for one in (*found.texts, *read_handmade())])
    keys = grouped([row.text for row in (*rows, *more)])
    known = {key: row.key for key, row in zip(keys, rows, strict=False)}
    return [replace(row, key=known.get(key, key)) for row, key in zip(more, keys[len(rows) :], strict=True)]


def _told_apart(rows: Sequence[Row]) -> list[Row]:
    """The rows, of which those that advertise say so; the others do not."""
    adverts = read_adverts()
    return [replace(row, advert=bool(row.advert) or hash_of(row.text) in adverts) for row in rows]


def unlabelled(shared: Path) -> list[str]:
    """Texts without labels, each once: they only tell which words stand together."""
    return list(dict.fromkeys(text for texts in pools(shared).values() for text in texts))


def pools(shared: Path) -> dict[str, list[str]]:
    """Texts without labels by the set that they come from."""
    data = shared / "data"
    complaints = _table(data / "gov_complaints/dev.csv", "title", "text")
    hot = _table(data / "weibo_hot_hourly/dev_topics.csv.gz", "title", "description")
    titles = _table(data / "weibo_hot_titles/daily_titles_2021_2022.csv.gz", "title")
    return {
        "weibo_hot_titles": [row["title"] for row in titles],
        "weibo_hot_hourly": [_told(row) for row in hot],
        "zhihu_hot": [row["title"] for row in _table(data / "zhihu_hot/dev.csv.gz", "title")],
        "cctv_weibo2020": [row["text"] for row in _table(data / "cctv_weibo2020/posts.csv.gz", "text")],
        "tnews_few, unlabelled": [row["text"] for row in _table(data / "tnews_few/unlabelled.csv.gz", "text")],
        "tnews_few": [row["text"] for row in _table(data / "tnews_few/dev.csv", "text")],
        "rumour_ced": [row["text"] for row in _table(data / "rumour_ced/dev.csv", "text")],
        "gov_complaints": [f"{row['title']}。{row['text'][:300]}" for row in complaints],
        "weibo2018, topics": [row["text"] for row in _table(data / "weibo2018/topics_unlabelled.csv", "text")],
        "rumour_ced, reposts": list(_answers(data / "rumour_ced/spread_dev.jsonl.gz")),
    }


def _told(row: dict[str, str]) -> str:
    """A hot title and its description, unless that says the same."""
    title, description = row["title"], row["description"][:200]
    return title if not description or description.strip(" ！!。") == title else f"{title}。{description}"


def _answers(path: Path) -> Iterator[str]:
    """The first reposts of each post, those that say something."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                for _, text in json.loads(line).get("first_texts", [])[:40]:
                    if len(text) > 12:
                        yield text
    except (*_DAMAGED, ValueError, TypeError, AttributeError) as err:
        raise DataError(f"{path}: {err}; expected one JSON object a line as its folder's README describes") from err


def _marks(text: str) -> tuple[str, str]:
    """What near-duplicates share: the first or the last 20 letters of the normalised text."""
    letters = "".join(filter(str.isalnum, text))
    return f"<{letters[:20]}", f"{letters[-20:]}>"


def grouped(texts: list[str]) -> list[str]:
    """A key for each text; texts that share their beginning or their end, also through others, share the key."""
    parent: dict[str, str] = {}

    def root(mark: str) -> str:
        while parent.setdefault(mark, mark) != mark:
            parent[mark] = parent[parent[mark]]
            mark = parent[mark]
        return mark

    first = []
    for text in plain_batch([_NAME.sub("@", text) for text in texts]).texts:
        start, end = _marks(text)
        first.append(start)
        if len(start) > 8:  # shorter ones are equal by chance
            low, high = sorted((root(start), root(end)))
            parent[high] = low
    return [root(mark) for mark in first]


def part_of(key: str, parts: int, seed: int = 0) -> int:
    """Which of the parts of a split a group belongs to."""
    return int.from_bytes(hashlib.sha256(f"{seed} {key}".encode()).digest()[:8], "big") % parts
