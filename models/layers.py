"""Raw outputs of the table become calibrated probabilities.

Sentiment: experts weighed by what kind of text it is, then one scale and one shift for neutral. Every other head: one
scale and one shift.

Training and scoring share this file, so that both see the same numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tingchao.models.scores import SIGNALS

Matrix = npt.NDArray[np.float32]

# Kinds of text that the sentiment sets come from; the gate says which of them a text is like.
KINDS = ("weibo", "review", "usual", "virus", "car", "annotated")
POLARITY = ("all", "weibo", "review", "smp")  # positive against negative, each expert trained mostly on its own sets
NEUTRAL = ("smp", "car", "annotated")  # neutral against the rest; the other sets have no neutral texts
SINGLE = (*SIGNALS, "severity 1", "severity 2", "severity 3", "live", "advert")
# They rest on all signals: by folds 0.6 points of accuracy on `live`, 0.8 of kappa on severity.
_FROM_SIGNALS = frozenset({"severity 1", "severity 2", "severity 3", "live"})
# What the table of features gives, one column each.
TABLE = (
    *(f"gate {name}" for name in KINDS),
    *(f"polarity {name}" for name in POLARITY),
    *(f"neutral {name}" for name in NEUTRAL),
    *SINGLE,
)
# What the networks on the word vectors give: the same questions asked of the meaning of the words.
FEELS = ("deep polarity", "deep neutral smp", "deep neutral annotated")
TELLS = tuple(f"deep {name}" for name in SINGLE[:-1])
DEEP = (*FEELS, *TELLS)
COLUMNS = (*TABLE, *DEEP)
_GATES, _POLARITY, _NEUTRAL = len(KINDS), len(POLARITY), len(NEUTRAL)


_TABLE_SCALE, _DEEP_SCALE = np.float32(0.45), np.float32(0.4)  # about what calibration finds for a signal
_APART = np.float32(1e-6)  # two chances that differ by less are equal


class Layers(NamedTuple):
    """What turns raw outputs into probabilities; all fitted on outputs for texts that the table had not seen."""

    polarity: Matrix  # weights of `mixture`, the last is the constant
    neutral: Matrix
    mix: Matrix  # scale and shift of the log-odds of neutral, for texts drawn at random
    single: Matrix  # for each head of SINGLE the scales of its `single_inputs`, and the shift


def sigmoid(value: Matrix) -> Matrix:
    """Log-odds to probability, without overflow."""
    result = 1 / (1 + np.exp(-np.clip(value, -30, 30)))
    return result.astype(np.float32)


_SIGNALS = [COLUMNS.index(f"{kind}{name}") for kind in ("", "deep ") for name in SIGNALS]


def _signals(raw: Matrix) -> Matrix:
    """What the table says of each signal, then what the network does."""
    return raw[:, _SIGNALS]


def _strongest(raw: Matrix) -> Matrix:
    """Log-odds of the likeliest signal: what is live or grave has one (0.7 points on `live`, 0.7 on severity)."""
    table, deep = np.split(_signals(raw), 2, axis=1)
    result: Matrix = (table * _TABLE_SCALE + deep * _DEEP_SCALE).max(axis=1)
    return result


def _mixture(gates: Matrix, experts: Matrix) -> Matrix:
    """Inputs of a combination: the gates, the experts, each expert times each gate, and a constant."""
    products = (gates[:, :, None] * experts[:, None, :]).reshape(len(gates), -1)
    return np.concatenate((gates, experts, products, np.ones((len(gates), 1), dtype=np.float32)), axis=1)


def mixtures(raw: Matrix) -> tuple[Matrix, Matrix]:
    """The inputs of the polarity and of the neutral combination."""
    gates = raw[:, :_GATES] - raw[:, :_GATES].max(axis=1, keepdims=True)
    gates = np.exp(gates)
    gates /= gates.sum(axis=1, keepdims=True)
    table, deep = raw[:, _GATES : len(TABLE)], raw[:, len(TABLE) :]
    polarity = np.concatenate((table[:, :_POLARITY], deep[:, :1]), axis=1)
    neutral = np.concatenate((table[:, _POLARITY : _POLARITY + _NEUTRAL], deep[:, 1:3]), axis=1)
    size = np.abs(polarity)  # a text without any polarity is rather neutral
    return _mixture(gates, polarity), _mixture(gates, np.concatenate((neutral, size), axis=1))


def single_inputs(raw: Matrix, name: str) -> Matrix:
    """What a head of SINGLE rests on: the table's output, the network's, the strongest signal, and all of them.

    0 where it does not rest on it.
    """
    table, none = raw[:, COLUMNS.index(name)], np.zeros_like(raw[:, 0])
    known = f"deep {name}" in DEEP  # all but adverts
    own = table, raw[:, COLUMNS.index(f"deep {name}")] if known else none, _strongest(raw) if known else none
    signals = _signals(raw)
    return np.column_stack((*own, signals if name in _FROM_SIGNALS else np.zeros_like(signals)))


def _for_the_mix(logits: Matrix, positive: Matrix, mix: Matrix) -> Matrix:
    """The chance of neutral as it holds for texts drawn at random; which of the three is likeliest stays.

    The sets with three classes call fewer texts neutral than the guideline does. One shift for both would cost 2 to 5
    points of F1 on SMP2020; so only the chances move, up to where neutral would be as likely as the likelier other.
    """
    stronger = np.maximum(positive, 1 - positive)
    even = stronger / (1 + stronger)
    likeliest = sigmoid(logits) > even
    chance = sigmoid(logits * mix[0] + mix[1])
    result: Matrix = np.where(likeliest, np.maximum(chance, even + _APART), np.minimum(chance, even - _APART))
    return result


def probabilities(raw: Matrix, layers: Layers) -> Matrix:
    """Columns: negative, neutral, positive, the nine signals, expected severity, live, advert."""
    polarity, neutral = mixtures(raw)
    positive = sigmoid(polarity @ layers.polarity)
    plain = _for_the_mix(neutral @ layers.neutral, positive, layers.mix)
    table, deep = raw[:, len(TABLE) - len(SINGLE) : len(TABLE)], raw[:, -len(SINGLE) + 1 :]
    logits = table * layers.single[0] + _signals(raw) @ layers.single[3:-1] + layers.single[-1]
    logits[:, :-1] += deep * layers.single[1, :-1] + _strongest(raw)[:, None] * layers.single[2, :-1]
    single = sigmoid(logits)
    signals, steps, rest = single[:, : len(SIGNALS)], single[:, len(SIGNALS) : -2], single[:, -2:]
    severity = np.minimum.accumulate(steps, axis=1).sum(axis=1)  # P(>=1) + P(>=2) + P(>=3) is the expected value
    feeling = np.stack(((1 - plain) * (1 - positive), plain, (1 - plain) * positive), axis=1)
    result: Matrix = np.concatenate((feeling, signals, severity[:, None], rest), axis=1).astype(np.float32)
    return result
