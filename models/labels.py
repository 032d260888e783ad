"""Labels that a reader gave become labelled texts: two small files beside the code, for training only.

`labels.jsonl` labels texts of the sets in ../shared/data. The texts are not ours to ship, so a line holds a hash of the
text as `corpora.py` reads it from its set, and the text is looked up when training::

    found = resolved(read_labels(), [*unlabelled(shared), *(row.text for row in rows)])
    found.texts    # Labelled(text, set, drawn, signals, severity, live, sentiment), in the order of the file
    found.missing  # labels whose text is in none of those

`handmade.jsonl` holds texts of our own with the same labels (`set` and `drawn` say `handmade`)::

    texts = read_handmade()

`adverts.jsonl` names the texts of the sets that advertise: hash and set. A reader looked at those of the annotated
texts, of `labels.jsonl` and of the sentiment sets that an earlier model or a list of words (优惠, 包邮, 热线, 首付
and the like) pointed to, and at 110 more of those drawn at random, and found twenty::

    read_adverts()  # the hashes

The first two were labelled by language models that read each text against ../shared/annotation/GUIDELINE.md, as
labelled.jsonl was. None of the texts lies in a group that `train.is_held` keeps for judging, nor near one of
labelled.jsonl. Texts that the guideline leaves open were left out. Handmade texts say nothing of how frequent anything
is. `drawn` says how a text was chosen:

The first 3,867 labels: `random`, from the mix of sets of labelled.jsonl's own random part; `model:<head>`, where
model 8f82d67c2f3d was near its threshold for that signal (for outage, help and leak also well above and below it) or
unsure of `live` or `sentiment`; `keyword:<signal>`, by a broad list of words.

The 8,381 after them: `model:<head>`, where model 1e9fb09854aa was near its threshold for that signal or unsure of
`live` or `sentiment`, with weights by set that favour hot titles; `rest`, at random among what those draws had left,
so no rate may be taken from them. Seven readers had 1,200 texts each and none in common, so how far they agree was
not measured. Of 100 labels read again with the label in sight 3 looked wrong; of some 200 on which that model
disagreed most with the reader, the reader was right on nearly all. Twenty labels were corrected, also where a word
that marks a rumour was missed or a mere denial was taken for one; on such texts the readers remain uneven.

The 1,626 after those: `model:<head>`, where model c303402e480f, or for the last 506 the one trained after it, was
unsure; one reader, who passed over what the guideline leaves open, about one text in four.

The next 14,086: `model:<head>`, where model cdbc7d547156, or for 5,149 of them one trained with the others, was near
its threshold for that signal or unsure of `live`; `teacher:<signal>`, where the large model of teach.py and that model
differed most. Eighteen readers had 690 to 1,100 texts each and none in common; each read once, quickly, looked up how
like texts of labelled.jsonl are labelled, and passed over what the guideline leaves open, about one text in eight.
Agreement was not measured. By their own account severity 1 or 2, the second of two signals (complaint and fraud,
health and outage) and what is a mark of a rumour in a denial are the least certain.

The last 2,399: `keyword:<signal>`, by a broad list of words for rumour, outage, leak and help; five readers, who passed
over one text in five. On answers to posts that are not there (求证！, 造谣), about one in ten, they differ.

Of the 27,960 before them 3,577 were read a second time by six readers who saw no label: 3,277 on which model
683d94df7db5, cross-fitted, was furthest from a signal's label or that of `live`, and 300 of the others. On the 300 both
readers gave the same signals to 93 %, the same `live` to 95 %, severity to 92 % and sentiment to 96 %. On the 3,277
they agreed on all signals in 73 %; where label and model differ the second reader sided with the label in 82 %. What
two of label, second reader and model say, field by field, stands now: 908 labels changed, 745 of them in a signal.

Of the first 1,659 handmade texts the last 514 were written by those who had seen which annotated texts a model gets
wrong when it is cross-fitted, so figures on those are a little too good since then; those on the sets that only judge
are not.

The next 3,279 handmade texts came after a tester had written posts and found that 没有停电 was an outage and 楼塌了
none. Six writers, who saw neither contrast.jsonl nor texts that judge, wrote short alarms beside denials, drills,
films, history, rules and figures of speech with the same words; each text had one reader, its writer. Only the last 542
were read for their sentiment.

The last 8,384 handmade texts are by eight writers who saw neither; each had one kind of text that keywords mislead on:
the past, fiction and figures of speech, advice and drills, questions, denials and what is over, first words of
witnesses, adverts and sport and finance, pairs that differ in a word or two. Alarms stand beside harmless texts with
the same words. Each writer read them once more; nobody read them for their sentiment.

On 120 texts of labelled.jsonl, labelled again without sight of the labels there, the reader of the first part reached
Cohen's kappa 0.84 to 1.00 per signal, 0.88 on `live`, 0.92 (quadratic) on severity and 0.83 on sentiment; `live` of
general exposés and the sentiment of posts were then read a second time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec

from tingchao.models.scores import SIGNALS, ModelError

LABELS = Path(__file__).with_name("labels.jsonl")
HANDMADE = Path(__file__).with_name("handmade.jsonl")
ADVERTS = Path(__file__).with_name("adverts.jsonl")

Severity = Annotated[int, msgspec.Meta(ge=0, le=3)]
Sentiment = Literal["negative", "neutral", "positive"]


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a text says, by the guideline, and the text's hash."""

    hash: str  # of `hash_of`
    set: str  # the folder in ../shared/data
    drawn: str
    signals: tuple[str, ...]  # in the order of SIGNALS
    severity: Severity
    live: bool
    sentiment: Sentiment


class Labelled(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text with its labels."""

    text: str
    set: str
    drawn: str
    signals: tuple[str, ...]  # in the order of SIGNALS
    severity: Severity
    live: bool
    sentiment: Sentiment | None  # None: was not read for it
    advert: bool = False


class Advert(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text that advertises."""

    hash: str  # of `hash_of`
    set: str  # the folder in ../shared/data


class Resolved(msgspec.Struct, frozen=True):
    """Labels that met their texts, and how many did not."""

    texts: tuple[Labelled, ...]
    missing: int


Line = TypeVar("Line", Label, Labelled, Advert)


def hash_of(text: str) -> str:
    """128 bits of BLAKE2b over the text as it stands in its set, in hex."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def read_labels(path: Path = LABELS) -> list[Label]:
    """The labels of a file; ModelError names the first line that is wrong."""
    return list(_lines(path, Label))


def read_handmade(path: Path = HANDMADE) -> list[Labelled]:
    """The texts of a file with their labels; ModelError names the first line that is wrong."""
    return list(_lines(path, Labelled))


def read_adverts(path: Path = ADVERTS) -> frozenset[str]:
    """The hashes of the texts that advertise; ModelError names the first line that is wrong."""
    return frozenset(one.hash for one in _lines(path, Advert))


def resolved(labels: Iterable[Label], texts: Iterable[str]) -> Resolved:
    """Each label with its text out of `texts`, in the order of the labels; a text may occur repeatedly."""
    labels = list(labels)
    wanted = {label.hash for label in labels}
    known = {key: text for text in texts if (key := hash_of(text)) in wanted}
    found = tuple(_joined(label, known[label.hash]) for label in labels if label.hash in known)
    return Resolved(found, len(labels) - len(found))


def _joined(label: Label, text: str) -> Labelled:
    return Labelled(text, label.set, label.drawn, label.signals, label.severity, label.live, label.sentiment)


def _lines(path: Path, kind: type[Line]) -> Iterator[Line]:
    try:
        raw = path.read_bytes().splitlines()
    except OSError as err:
        raise ModelError(f"{path}: {err}; get it with `git checkout -- models/`") from err
    for number, line in enumerate(raw, 1):
        try:
            label = msgspec.json.decode(line, type=kind)
        except msgspec.DecodeError as err:
            raise ModelError(
                f"{path}, line {number}: {err}; expected one JSON object a line, see models/labels.py"
            ) from err
        if not isinstance(label, Advert) and (fault := _fault(label)):
            raise ModelError(f"{path}, line {number}: {fault}; expected labels as in the guideline")
        yield label


def _fault(label: Label | Labelled) -> str:
    """What the guideline does not allow, or nothing."""
    if label.signals != tuple(name for name in SIGNALS if name in label.signals):
        return f"signals {list(label.signals)} are not some of {list(SIGNALS)} in this order"
    if not label.signals and (label.severity or label.live):
        return f"severity {label.severity} and live {label.live} without a signal"
    return ""
