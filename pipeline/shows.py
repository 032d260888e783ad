"""What the command line prints: scored posts and alerts as tables, JSON lines or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from rich.bar import Bar
from rich.console import Console
from rich.table import Table

from tingchao.config.language import LANGUAGES, text
from tingchao.config.signals import head_name
from tingchao.models.scores import SIGNALS, Scores
from tingchao.pipeline.records import Alert, Dead, Post, Scored, in_one_line
from tingchao.pipeline.store import Bucket
from tingchao.pipeline.times import local

if TYPE_CHECKING:
    from tingchao.models.drift import Difference, Drift
    from tingchao.models.reasons import Reasons
    from tingchao.models.versions import Version  # brings NumPy along, which most commands do without

_BAR = 40  # characters

_COLUMNS: dict[str, Callable[[Scored], object]] = {
    "id": lambda s: s.post.id,
    "published_at": lambda s: local(s.post.published_at),
    "source": lambda s: s.post.source,
    "kind": lambda s: s.post.kind,
    "title": lambda s: s.post.title,
    "text": lambda s: s.post.text,
    "url": lambda s: s.post.url,
    "sentiment": lambda s: sentiment(s.scores),
    "negative": lambda s: round(s.scores.negative, 4),
    "signals": lambda s: " ".join(s.scores.given),
    "severity": lambda s: round(s.scores.severity, 2),
    "live": lambda s: round(s.scores.live, 4),
    "topics": lambda s: " ".join(s.topics),
}


def sentiment(scores: Scores) -> str:
    """The most likely one."""
    return max(("negative", "neutral", "positive"), key=lambda name: float(getattr(scores, name)))


def scores_dict(scores: Scores, why: Mapping[str, Reasons] | None = None) -> dict[str, Any]:
    """The form of `tingchao score`: named probabilities instead of a vector; with `why` the reasons of each head."""
    found: dict[str, Any] = {
        "sentiment": {name: round(getattr(scores, name), 6) for name in ("negative", "neutral", "positive")},
        "signals": {name: round(p, 6) for name, p in zip(SIGNALS, scores.signals, strict=True)},
        "severity": round(scores.severity, 4),
        "live": round(scores.live, 6),
        "advert": round(scores.advert, 6),
        "given": list(scores.given),
        "lang": scores.lang,
        "abstained": scores.abstained,
    }
    if why:
        found["why"] = {
            head: {"up": _changes(reasons.up), "down": _changes(reasons.down)} for head, reasons in why.items()
        }
    return found


def _changes(found: Iterable[tuple[str, float]]) -> list[dict[str, Any]]:
    return [{"words": words, "change": round(change, 4)} for words, change in found]


def score_text(said: str, scores: Scores, why: Mapping[str, Reasons], language: str) -> str:
    """A text with its scores for people, and the reasons of the heads that say something of it."""
    shown = " ".join(said.split())[:120].encode("utf-8", "replace").decode()  # a lone surrogate cannot be printed
    lines = [shown or "–"]
    if scores.abstained:
        return "\n".join([*lines, "  " + text("cli.said.abstained", language), "", ""])
    chances = dict(zip(SIGNALS, scores.signals, strict=True))
    chances |= {name: getattr(scores, name) for name in ("negative", "neutral", "positive", "live", "advert")}
    wanted = [sentiment(scores), *scores.given, "severity", "live", "advert"]
    for head in wanted:
        value = f"{scores.severity:.1f}" if head == "severity" else f"{chances[head]:.0%}"
        lines.append(f"  {head_name(head, language)} {value}")
        for side, sign in (("up", "↑"), ("down", "↓")):
            found = getattr(why[head], side) if head in why else ()
            words = "  ".join(f"{words} {change:+.2f}" for words, change in found)
            lines += [f"    {sign} {words}"] if words else []
    return "\n".join([*lines, "", ""])


def scored_dict(scored: Scored) -> dict[str, Any]:
    """A hit of `tingchao search --json`: the post's fields and its scores. No voice, no author."""
    return post_dict(scored.post) | {
        "scores": scores_dict(scored.scores),
        "topics": list(scored.topics),
        "model": scored.model,
    }


def json_lines(values: Iterable[Any]) -> str:
    """One JSON value a line."""
    return "".join(msgspec.json.encode(value).decode() + "\n" for value in values)


def hits_csv(hits: Iterable[Scored]) -> str:
    """With a byte order mark, so that Excel reads Chinese right; a cell that Excel would run is quoted."""
    return _csv(_COLUMNS, ([_cell(value(hit)) for value in _COLUMNS.values()] for hit in hits))


def hits_table(hits: Iterable[Scored], language: str) -> Table:
    """Time, source, feeling, signals and the beginning of each hit."""
    table = _table(language, "time", "source", "sentiment", "signals", "post")
    for hit in hits:
        post = hit.post
        table.add_row(
            local(post.published_at),
            post.source,
            text(f"cli.sentiment.{sentiment(hit.scores)}", language),
            " ".join(text(f"signal.{name}", language) for name in hit.scores.given),
            in_one_line(post.title, post.text)[:120],
        )
    return table


def buckets_csv(buckets: Iterable[Bucket]) -> str:
    """The beginning of each step, in Beijing, and its posts."""
    return _csv(Bucket._fields, ((local(bucket.start), bucket.posts) for bucket in buckets))


def buckets_table(buckets: Sequence[Bucket], language: str) -> Table:
    """The beginning of each step, its posts, and a bar."""
    table, most = _table(language, "time", "posts"), max(bucket.posts for bucket in buckets)
    table.add_column()
    for bucket in buckets:
        table.add_row(local(bucket.start), str(bucket.posts), Bar(max(most, 1), 0, bucket.posts, width=_BAR))
    return table


def alerts_table(alerts: Iterable[Alert], headline: Callable[[Alert], str], language: str) -> Table:
    """Id, state, level, since when, posts and headline of each alert."""
    table = _table(language, "id", "state", "level", "since", "posts", "headline")
    for alert in alerts:
        state, level = text(f"cli.state.{alert.state}", language), text(f"cli.level.{alert.level}", language)
        table.add_row(alert.id[:8], state, level, local(alert.since), str(alert.posts), headline(alert))
    return table


def versions_table(versions: Iterable[Version], language: str) -> Table:
    """Name, date, hash and reason of each version of the model."""
    table = _table(language, "version", "use", "made", "hash", "reason")
    for one in versions:
        reason = one.fault or (text("cli.said.shipped", language) if one.shipped else one.reason)
        table.add_row(one.name, "✓" if one.in_use else "", local(one.made_at), one.sha256, reason)
    return table


def drift_table(drift: Drift, language: str) -> Table:
    """Each source and week: texts, unknown words, and what differs most."""
    table = _table(language, "source", "week", "posts", "unknown", "drift", "reason")
    for cell in drift.cells:
        told = [one for one in cell.differences if one.level in {"look", "worry"}]
        reason = text("cli.comma", language).join(_differs(one, language) for one in told)
        level = text(f"cli.drift.{cell.level}", language)
        table.add_row(cell.source, str(cell.week), str(cell.texts), f"{cell.unknown:.1%}", level, reason)
    return table


def drift_sentence(drift: Drift, language: str) -> str:
    """Whether to worry, about which source, and what to do."""
    cell = drift.worst
    if cell is None:
        known = [one for one in drift.cells if one.level != "few"]
        key = "few" if not known else "fine" if drift.reference else "no_reference"
        sources = len({one.source for one in known})
        posts = sum(one.texts for one in known)
        return text(f"cli.drifted.{key}", language, sources=sources, posts=posts, model=drift.model)
    told = [one for one in cell.differences if one.level == cell.level]
    what = text("cli.comma", language).join(_differs(one, language) for one in told)
    return text(f"cli.drifted.{cell.level}", language, source=cell.source, week=cell.week, what=what)


def _differs(one: Difference, language: str) -> str:
    against = text("cli.drift.before", language) if one.against == "before" else one.against
    if one.what == "unknown":
        return text("cli.drift.unknown", language, value=f"{one.value:.0%}", expected=f"{one.expected:.0%}")
    if one.what == "abstained":
        return text("cli.drift.abstained", language, value=f"{one.value:.0%}")
    head = text("cli.drift.signal", language) if one.what == "signal" else head_name(one.what, language)
    return text("cli.drift.scores", language, head=head, against=against, value=f"{one.value:.2f}")


def drift_dict(drift: Drift) -> dict[str, Any]:
    """All that was compared, and the sentence in both languages."""
    found: dict[str, Any] = msgspec.to_builtins(drift)
    return found | {
        "worry": drift.level == "worry",
        "sentence": {language: drift_sentence(drift, language) for language in LANGUAGES},
    }


def dead_table(letters: Iterable[Dead], language: str) -> Table:
    """Id, time, stage, reason, origin and error of each dead letter."""
    table = _table(language, "id", "time", "stage", "reason", "origin", "error")
    for one in letters:
        table.add_row(one.id, local(one.at), one.stage, one.reason, one.origin, one.error[:120])
    return table


def lag_table(lags: Iterable[dict[str, Any]], language: str) -> Table:
    """Stage, topic, how far it has read, the end, and how many records wait."""
    table = _table(language, "stage", "topic", "read", "end", "lag")
    for one in lags:
        table.add_row(*(str(one[name]) for name in ("stage", "topic", "read", "end", "lag")))
    return table


def console(*, error: bool = False) -> Console:
    """Plain text when the output is no terminal: wide enough that nothing is wrapped or cut."""
    out = Console(stderr=error, highlight=False, markup=False, emoji=False)
    return out if out.is_terminal else Console(stderr=error, highlight=False, markup=False, emoji=False, width=200)


def _table(language: str, *columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in columns:
        flexible = name in {"post", "headline", "error", "reason"}
        table.add_column(text(f"cli.column.{name}", language), overflow="fold", no_wrap=not flexible)
    return table


def _csv(header: Iterable[str], lines: Iterable[Iterable[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(header)
    writer.writerows(lines)
    return "\ufeff" + out.getvalue()


def _cell(value: object) -> object:
    """Spreadsheets run a cell that begins like a formula (OWASP, CSV injection): an apostrophe makes it text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value


def post_dict(post: Post) -> dict[str, Any]:
    """All fields of a post but its voice, in a form that `tingchao ingest` reads."""
    fields = msgspec.structs.asdict(post)
    del fields["voice"], fields["v"]
    return fields | {"counts": msgspec.structs.asdict(post.counts)}


def post_line(post: Post) -> str:
    """Time, source and the beginning of the post on one line."""
    return f"{local(post.published_at)}  {post.source}  {in_one_line(post.title, post.text)[:100]}"
