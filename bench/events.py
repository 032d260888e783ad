"""How well posts become events and copies are found, beside first-story detection. How fast: load.py.

    python bench/events.py ../shared [crises] [copies] [repeats]

Nothing is fitted here: the constants of alerts/mixture.py and alerts/likeness.py are used as they are.
"""

from __future__ import annotations

import csv
import gzip
import random
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from difflib import SequenceMatcher
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from tingchao.alerts.events import STREAM, Events, Limits, Told
from tingchao.pipeline.grams import fold
from tingchao.pipeline.shingles import units

ROUNDS = 1000  # of the bootstrap
THRESHOLDS = np.arange(0.02, 0.8, 0.02)
DAY = 86_400


class Tweet(NamedTuple):
    at: float
    crisis: str
    text: str


# ---------------------------------------------------------------- crises


def tweets(shared: Path) -> list[Tweet]:
    """Related tweets in the order of time; the set gives their order and the course of each crisis, not their times."""
    folder = shared / "data" / "crisislex26"
    course: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for row in _rows(folder / "dev_series_10min.csv.gz"):
        at = datetime.fromisoformat(row["time_utc"]).replace(tzinfo=UTC).timestamp()
        course[row["event"]].append((at, int(row["count"])))
    texts: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in _rows(folder / "dev_tweets.csv.gz"):
        texts[row["event"]].append((row["informativeness"], row["text"]))
    found = []
    for crisis, rows in texts.items():
        at = _times(course.get(crisis) or [(1.366e9 + n * 600, 1) for n in range(2880)], len(rows))
        found += [
            Tweet(when, crisis, text) for when, (kind, text) in zip(at, rows, strict=True) if kind.startswith("Related")
        ]
    return sorted(found, key=lambda one: one.at)


def begun_at_once(found: Sequence[Tweet]) -> list[Tweet]:
    """The same as if all crises had begun in the same minute."""
    first: dict[str, float] = {}
    for one in found:
        first.setdefault(one.crisis, one.at)
    return sorted((one._replace(at=1.37e9 + one.at - first[one.crisis]) for one in found), key=lambda one: one.at)


def _times(course: Sequence[tuple[float, int]], count: int) -> list[float]:
    at, posts = np.array([when for when, _ in course]), np.cumsum([n for _, n in course])
    wanted = (np.arange(count) + 0.5) / count * posts[-1]
    return [float(when) for when in at[np.searchsorted(posts, wanted)]]


def ours(found: Sequence[Tweet]) -> list[str]:
    events = Events({}, STREAM)
    told = [Told("", str(n), int(one.at), int(one.at), "", "", one.text) for n, one in enumerate(found)]
    return [place.event for first in range(0, len(told), 500) for place in events.add(told[first : first + 500])]


def first_story(found: Sequence[Tweet], chunk: int = 250) -> tuple[np.ndarray, np.ndarray]:
    """Of each tweet the greatest cosine to an earlier one, and which; TF-IDF with what was seen so far."""
    vocabulary: dict[str, int] = {}
    rows, columns, values = [], [], []
    for number, one in enumerate(found):
        for word, count in Counter(_words(one.text)).items():
            rows.append(number)
            columns.append(vocabulary.setdefault(word, len(vocabulary)))
            values.append(1 + np.log(count))
    counts = sp.csr_matrix((values, (rows, columns)), shape=(len(found), len(vocabulary)))
    present = counts.sign()
    seen = np.zeros(len(vocabulary))
    best, nearest = np.zeros(len(found)), np.full(len(found), -1)
    for first in range(0, len(found), chunk):
        end = min(len(found), first + chunk)
        seen += np.asarray(present[first:end].sum(0)).ravel()
        weighted = counts[:end] @ sp.diags(np.log((end + 1) / (seen + 0.5)))
        norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(1)).ravel())
        weighted = sp.diags(1 / np.maximum(norms, 1e-9)) @ weighted
        likeness = (weighted[first:end] @ weighted.T).toarray()
        for number in range(max(first, 1), end):
            nearest[number] = likeness[number - first, :number].argmax()
            best[number] = likeness[number - first, nearest[number]]
    return best, nearest


def joined(best: np.ndarray, nearest: np.ndarray, threshold: float) -> list[int]:
    labels: list[int] = []
    for number, (likeness, other) in enumerate(zip(best, nearest, strict=True)):
        labels.append(labels[int(other)] if likeness >= threshold and other >= 0 else number)
    return labels


def _words(text: str) -> list[str]:
    plain = re.sub(r"https?:?/*\S*|@\w+", " ", text.lower().replace("&amp;", "&"))
    return [word for word in re.findall(r"#?\w+", plain) if word != "rt"]


def bcubed(gold: Sequence[str], labels: Sequence[object]) -> np.ndarray:
    """Precision and recall of each item (Bagga and Baldwin 1998), two columns."""
    true, told, both = Counter(gold), Counter(labels), Counter(zip(gold, labels, strict=True))
    return np.array(
        [(both[g, p] / told[p], both[g, p] / true[g]) for g, p in zip(gold, labels, strict=True)], dtype=float
    )


def f1(items: np.ndarray) -> float:
    precision, recall = items.mean(axis=0)
    return float(2 * precision * recall / (precision + recall))


def interval(gold: Sequence[str], *measured: np.ndarray) -> tuple[float, float]:
    """95 % of the F1 of the first, less that of the second if there is one; whole crises are drawn."""
    names = sorted(set(gold))
    of = {name: np.flatnonzero(np.array(gold) == name) for name in names}
    drawn = np.random.default_rng(1)
    found = []
    for _ in range(ROUNDS):
        items = np.concatenate([of[name] for name in drawn.choice(names, len(names))])
        values = [f1(one[items]) for one in measured]
        found.append(values[0] - sum(values[1:]))
    return float(np.percentile(found, 2.5)), float(np.percentile(found, 97.5))


def crises(shared: Path) -> None:
    by_time = tweets(shared)
    names = sorted({one.crisis for one in by_time})
    print(f"crises: {len(by_time):,} related tweets of {len(names)} crises, B-cubed F1 (95 % over crises)")
    print("  | stream | first story, best threshold | ours | difference |")
    for title, stream in (("by time", by_time), ("begun at once", begun_at_once(by_time))):
        _compare(title, stream)
    draw = random.Random(1)
    for number in range(3):
        six = set(draw.sample(names, 6))
        _compare(f"six crises, draw {number + 1}", [one for one in by_time if one.crisis in six])
        _compare(f"six begun at once, draw {number + 1}", begun_at_once([one for one in by_time if one.crisis in six]))


def _compare(title: str, stream: Sequence[Tweet]) -> None:
    gold = [one.crisis for one in stream]
    best, nearest = first_story(stream)
    threshold, theirs = max(
        ((float(t), bcubed(gold, joined(best, nearest, t))) for t in THRESHOLDS), key=lambda item: f1(item[1])
    )
    mine = bcubed(gold, ours(stream))
    low, high = interval(gold, mine)
    worse, better = interval(gold, mine, theirs)
    print(
        f"  | {title} | {f1(theirs):.3f} (at {threshold:.2f}) | {f1(mine):.3f} ({low:.3f}-{high:.3f}; "
        f"P {mine[:, 0].mean():.3f} R {mine[:, 1].mean():.3f}) | "
        f"{f1(mine) - f1(theirs):+.3f} ({worse:+.3f} to {better:+.3f}) |",
        flush=True,
    )


# ---------------------------------------------------------------- copies


def is_copy(text: str, other: str) -> bool:
    events = Events({}, Limits(dims=256, events=4, texts=8))
    return events.add([Told("", "0", 0, 0, "", "", text), Told("", "1", 0, 0, "", "", other)])[1].copy_of == "0"


# What a machine that reads pictures of texts takes for each other; both ways. No digits: those are other facts.
_LOOKS = "己已 未末 土士 日曰 人入 大太 今令 天夭 木本 贝见 刀力 王玉 白自 目且 住往 侯候 拔拨 晴睛 治冶 亨享 免兔"
LOOKS = {a: b for pair in _LOOKS.split() for a, b in (pair, pair[::-1])}
NUMBERS = frozenset("0123456789零〇一二两三四五六七八九十百千")  # a digit that is lost or moved makes another fact


def unseen(shared: Path) -> dict[str, Callable[[str, random.Random], str]]:
    """Kinds of edit of which no example was looked at while the constants were chosen."""
    sounds = {row["char"]: row["same_sound_same_tone"] for row in _rows(shared / "data/variants/same_pinyin.csv")}
    table = Path(__import__("opencc").__file__).parent / "dictionary" / "STCharacters.txt"
    old = {line.split("\t")[0]: line.split("\t")[1].split(" ")[0] for line in table.read_text("utf-8").splitlines()}

    def homophones(text: str, draw: random.Random) -> str:
        return "".join(draw.choice(sounds[c]) if sounds.get(c) and draw.random() < 0.05 else c for c in text)

    def sprinkled(text: str, draw: random.Random) -> str:
        return "".join(c + draw.choice("😭😡🙏👍🔥") if draw.random() < 0.08 else c for c in text)

    def shuffled(text: str, draw: random.Random) -> str:
        parts = re.split(r"(?<=[。！？!?，,；;])", text)
        draw.shuffle(parts)
        return "".join(parts)

    def tagged(text: str, _: random.Random) -> str:
        return f"#热点#{text[: len(text) // 2]}#求扩散#{text[len(text) // 2 :]}#今日新闻#"

    def without_a_sentence(text: str, draw: random.Random) -> str:
        parts = [part for part in re.split(r"(?<=[。！？!?])", text) if part]
        if len(parts) < 3:
            return text + "。"
        del parts[draw.randrange(len(parts))]
        return "".join(parts)

    def dropped(text: str, draw: random.Random) -> str:
        return "".join(c for c in text if c in NUMBERS or draw.random() >= 0.05)

    def swapped(text: str, draw: random.Random) -> str:
        letters = list(text)
        for at in range(len(letters) - 1):
            if not NUMBERS & {*letters[at : at + 2]} and draw.random() < 0.03:
                letters[at : at + 2] = letters[at + 1], letters[at]
        return "".join(letters)

    def misread(text: str, draw: random.Random) -> str:
        return "".join(LOOKS.get(c, c) if draw.random() < 0.5 else c for c in text)

    return {
        "letters dropped, 5 %": dropped,
        "neighbours swapped, 3 %": swapped,
        "misread, half of what looks alike": misread,
        "traditional": lambda text, _: "".join(old.get(c, c) for c in text),
        "homophones, 5 %": homophones,
        "spacing": lambda text, _: " ".join(text),
        "a sentence less": without_a_sentence,
        "order of halves": lambda text, _: text[len(text) // 2 :] + text[: len(text) // 2],
        "order of clauses": shuffled,
        "quoted": lambda text, _: f"【网传】「{text}」是真的吗？求辟谣",
        "emoji in between": sprinkled,
        "hashtags in between": tagged,
        "cut to two fifths": lambda text, _: f"{text[: len(text) * 2 // 5]}...查看全文",
        "full width": lambda text, _: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
        "behind a chain": lambda text, _: f"哈哈哈//@甲乙:说得好//@丙丁：转发微博//@戊:{text}",
    }


def copies(shared: Path) -> None:
    pairs = list(_rows(shared / "data/neardup_built/dev.csv.gz"))
    found: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for row in pairs:
        found[row["label"], row["kind"]].append(is_copy(row["a"], row["b"]))
    right = sum(sum(told) for (label, _), told in found.items() if label == "1")
    wanted = sum(len(told) for (label, _), told in found.items() if label == "1")
    wrong = sum(sum(told) for (label, _), told in found.items() if label == "0")
    print(f"copies: neardup_built dev, recall {_share(right, wanted)}, precision {_share(right, right + wrong)}")
    for (label, kind), told in sorted(found.items()):
        print(f"    {label:>4} {kind}: {sum(told)} of {len(told)}")
    draw = random.Random(2)
    texts = sorted({row["a"] for row in pairs})
    facts = [(row["a"], row["b"]) for row in pairs if row["kind"] == "number_changed"]
    for kind, edit in unseen(shared).items():
        told = [is_copy(text, edit(text, draw)) for text in texts]
        changed = sum(is_copy(text, edit(other, draw)) for text, other in facts)
        print(f"    made here, {kind}: {_share(sum(told), len(told))}; with a changed number {changed} of {len(facts)}")


def repeats(shared: Path) -> None:
    """Posts of both rumour sets in one stream. Judge of truth: the longest common run of letters."""
    texts = [
        row["text"]
        for name in ("rumour_weibo21/dev.csv.gz", "rumour_ced/dev.csv")
        for row in _rows(shared / "data" / name)
    ]
    random.Random(3).shuffle(texts)
    events = Events({}, STREAM)
    told = [Told("", str(n), n, n, "", "", text) for n, text in enumerate(texts)]
    placed = [place for first in range(0, len(told), 500) for place in events.add(told[first : first + 500])]
    bare = [
        one for first in range(0, len(texts), 500) for one in units(list(map(fold, texts[first : first + 500]))).bare
    ]
    group: list[int] = []
    for number, place in enumerate(placed):
        group.append(number if place.copy_of is None else group[int(place.copy_of)])
    said = [(int(p.copy_of), n) for n, p in enumerate(placed) if p.copy_of is not None]
    true = [pair for pair in said if _common(bare[pair[0]], bare[pair[1]]) >= 0.4]
    pairs = _alike(bare)
    hit = sum(group[a] == group[b] for a, b in pairs)
    print(f"repeats: {len(texts):,} posts of the rumour sets, {len(said):,} told to be copies")
    print(f"    runs in common of 40 % of the shorter one: {_share(len(true), len(said))} (precision, at least)")
    print(f"    pairs with a run of 80 % and like lengths found: {_share(hit, len(pairs))} (recall)")


def _common(one: str, other: str) -> float:
    """Letters in runs of at least 6 that both have, as a share of the shorter text."""
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks if block.size >= 6) / max(1, min(len(one), len(other)))


def _alike(bare: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of which one run is 80 % of the shorter and the shorter at least half of the longer; rare runs only."""
    at: dict[str, list[int]] = defaultdict(list)
    for number, text in enumerate(bare):
        for run in {text[n : n + 12] for n in range(len(text) - 11)}:
            at[run].append(number)
    near = {(a, b) for found in at.values() if 1 < len(found) <= 40 for n, b in enumerate(found) for a in found[:n]}
    return sorted(
        (a, b)
        for a, b in near
        if 2 * min(len(bare[a]), len(bare[b])) >= max(len(bare[a]), len(bare[b])) and _common(bare[a], bare[b]) >= 0.8
    )


def _share(part: int, whole: int) -> str:
    """With Wilson's 95 % interval."""
    if not whole:
        return "none"
    p, z = part / whole, 1.96
    middle, wide = p + z * z / (2 * whole), z * np.sqrt(p * (1 - p) / whole + z * z / (4 * whole * whole))
    low, high = (middle - wide) / (1 + z * z / whole), (middle + wide) / (1 + z * z / whole)
    return f"{p:.3f} ({low:.3f}-{high:.3f}; {part} of {whole})"


def _rows(path: Path) -> Iterable[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        yield from csv.DictReader(file)


if __name__ == "__main__":
    parts = {"crises": crises, "copies": copies, "repeats": repeats}
    for part in sys.argv[2:] or parts:
        parts[part](Path(sys.argv[1]))
