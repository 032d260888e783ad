"""How well and how fast pages become articles: `.venv/bin/python bench/pages.py ../shared [--detail]`.

Chinese pages (data/webpages_zh): character 3-gram F1 of the text against gold.jsonl (its README says what is left
out), titles, minutes, milliseconds a page, with no frame known and with the frame learned from the other pages of the
site. English pages (data/webpages_en): the F1 over shingles of four words of Zyte's article-extraction-benchmark.
Both beside bare trafilatura in the same run.
"""

from __future__ import annotations

import gzip
import json
import re
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import trafilatura

from tingchao.crawlers import opened
from tingchao.crawlers.article import page_lines, read_article
from tingchao.crawlers.frame import Frame
from tingchao.crawlers.links import list_links

FETCHED = datetime(2025, 1, 1, tzinfo=UTC)
Triple = tuple[float, float, float]


def main(shared: Path, *, detail: bool) -> None:
    chinese(shared / "data" / "webpages_zh", detail=detail)
    lists(shared / "data" / "webpages_zh", detail=detail)
    english(shared / "data" / "webpages_en")


# Chinese pages


def chinese(folder: Path, *, detail: bool) -> None:
    gold = [json.loads(line) for line in (folder / "gold.jsonl").read_text("utf-8").splitlines()]
    bodies = {row["file"]: gzip.decompress((folder / row["file"]).read_bytes()) for row in gold}
    print(f"webpages_zh: {len(gold)} pages")
    print(f"{'':24}{'F1':>7}{'prec.':>7}{'recall':>7}{'noise':>7}{'title':>8}{'minute':>8}{'ms':>7}{'max ms':>8}")

    def ours(row: dict[str, Any], frame: Frame | None = None) -> tuple[str, str, str]:
        article = read_article(bodies[row["file"]], "", FETCHED, frame=frame)
        stated = (
            article.published_at.strftime("%Y-%m-%dT%H:%M" if article.minute else "%Y-%m-%d")
            if article.published_at
            else ""
        )
        return article.text, article.title, stated

    frames = site_frames(gold, bodies)
    report("ours, no frame", gold, ours, detail=detail)
    report("ours, frame of the site", gold, lambda row: ours(row, frames[row["file"]]), detail=detail)
    report("trafilatura", gold, lambda row: bare(bodies[row["file"]]), detail=False)


def site_frames(gold: list[dict[str, Any]], bodies: dict[str, bytes]) -> dict[str, Frame]:
    """For every page the frame learned from the other pages of its site."""
    lines = {name: page_lines(body) for name, body in bodies.items()}
    sites = defaultdict(list)
    for row in gold:
        sites[row["site"]].append(row["file"])
    frames = {}
    for row in gold:
        frames[row["file"]] = frame = Frame()
        for name in sites[row["site"]]:
            if name != row["file"]:
                frame.learn(lines[name], name)
    return frames


def forget() -> None:
    """Let the next page be read anew, though it is the same one."""
    opened._open.cache_clear()  # noqa: SLF001


def bare(body: bytes) -> tuple[str, str, str]:
    text = trafilatura.extract(body) or ""
    meta = trafilatura.extract_metadata(body)
    return text, (meta.title or "") if meta else "", (meta.date or "") if meta else ""


def report(
    name: str, gold: list[dict[str, Any]], read: Callable[[dict[str, Any]], tuple[str, str, str]], *, detail: bool
) -> None:
    scores, noise, titles, minutes, times = [], [], [], [], []
    for row in gold:
        # Processor time: the wall clock of a busy machine says nothing about the page. The best of three.
        took = []
        for _ in range(3):
            forget()
            start = time.process_time()
            text, title, stated = read(row)
            took.append((time.process_time() - start) * 1000)
        times.append(min(took))
        score = overlap(text, row)
        scores.append(score)
        noise.append(share_of_noise(text, row))
        if row["title"]:
            titles.append(" ".join(title.split()) == " ".join(row["title"].split()))
        if "T" in row["time"]:
            minutes.append(stated[:16] == row["time"][:16])
        if detail:
            print(
                f"  {row['file']:36} F1 {f1(score[0], score[1]):.3f} {times[-1]:5.1f} ms  {title[:30]}  {stated} "
                f"({row['time']})"
            )
    mean = [statistics.mean(score[i] for score in scores) for i in range(3)]
    print(
        f"{name:24}{mean[2]:7.3f}{mean[0]:7.3f}{mean[1]:7.3f}{statistics.mean(noise):7.3f}"
        f"{sum(titles):4}/{len(titles):<3}{sum(minutes):4}/{len(minutes):<3}"
        f"{statistics.mean(times):7.1f}{max(times):8.1f}"
    )


def overlap(text: str, row: dict[str, Any]) -> Triple:
    """Precision, recall and F1 of character 3-grams, the optional lines removed."""
    found = flat(text)
    for line in row["optional"]:
        found = found.replace(flat(line), "")
    got, wanted = grams(found), grams(flat("".join(row["must"])))
    both = sum((got & wanted).values())
    precision, recall = both / max(1, sum(got.values())), both / max(1, sum(wanted.values()))
    return precision, recall, f1(precision, recall)


def share_of_noise(text: str, row: dict[str, Any]) -> float:
    found, wanted = flat(text), flat("".join(row["must"]))
    lines = [flat(line) for line in row["noise"] if len(flat(line)) >= 4 and flat(line) not in wanted]
    return sum(line in found for line in lines) / max(1, len(lines))


def flat(text: str) -> str:
    return "".join(text.split())


def grams(text: str) -> Counter[str]:
    return Counter(text[i : i + 3] for i in range(len(text) - 2))


def f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


# List pages


def lists(folder: Path, *, detail: bool) -> None:
    for path in sorted((folder / "pages").glob("list_*.items.json")):
        body = gzip.decompress((folder / "pages" / path.name.replace(".items.json", ".gz")).read_bytes())
        wanted = {(item["title"], item["href"]) for item in json.loads(path.read_text("utf-8"))}
        links = list_links(body, "https://news.163.com/")
        got = {(link.title, link.url) for link in links}
        both = {url for _, url in wanted} & {url for _, url in got}
        print(
            f"{path.name}: {len(links)} links, {len(both)} of {len({u for _, u in wanted})} addresses, "
            f"{len(got & wanted)} with the same title"
        )
        if detail:
            for title, url in sorted(wanted - got)[:20]:
                print("   missing", title, url)


# English pages


def english(folder: Path) -> None:
    truth = json.loads((folder / "ground-truth.json").read_text("utf-8"))
    bodies = {key: gzip.decompress((folder / "html" / f"{key}.html.gz").read_bytes()) for key in truth}
    print(f"webpages_en: {len(truth)} pages (published, on 181: trafilatura 2.0 .958)")
    readers: dict[str, Callable[[str], str]] = {
        "ours": lambda key: read_article(bodies[key], truth[key]["url"], FETCHED).text,
        f"trafilatura {trafilatura.__version__}": lambda key: trafilatura.extract(bodies[key]) or "",
    }
    for name, read in readers.items():
        start = time.process_time()
        triples = [shingles(truth[key]["articleBody"], read(key)) for key in truth]
        took = (time.process_time() - start) * 1000 / len(truth)
        precision = statistics.mean(tp / (tp + fp) for tp, fp, _ in triples if tp + fp)
        recall = statistics.mean(tp / (tp + fn) for tp, _, fn in triples if tp + fn)
        print(f"{name:24}{f1(precision, recall):7.3f}{precision:7.3f}{recall:7.3f}{took:38.1f}")


def shingles(truth: str, found: str) -> Triple:
    """True and false positives and false negatives over runs of four words (as that benchmark defines them)."""
    wanted, got = fours(truth), fours(found)
    both = sum((wanted & got).values())
    return both, sum(got.values()) - both, sum(wanted.values()) - both


def fours(text: str) -> Counter[tuple[str, ...]]:
    words = re.findall(r"\w+", text)
    return Counter(tuple(words[i : i + 4]) for i in range(max(1, len(words) - 3)) if words)


if __name__ == "__main__":
    main(Path(sys.argv[1]), detail="--detail" in sys.argv)
