"""Posts scored a second, all heads, beside the cutter alone and SnowNLP's sentiment; one megabyte; load and memory."""

from __future__ import annotations

import importlib
import logging
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path

from parts import alternate, ratio, real_texts, spread

from tingchao.models.files import FILE
from tingchao.models.scorer import Scorer

COUNT = 10_000
CUT = 2_000  # jieba needs a third of a second for a thousand posts
SLOW = 200  # SnowNLP needs a second for a hundred
ROUNDS = 5
LOADED = """
import time, pathlib
began = time.perf_counter()
from tingchao.models.scorer import Scorer
imported = time.perf_counter()
scorer = Scorer.load()
loaded = time.perf_counter()
scorer.score(['昨天夜里三号线停运了两个小时'] * 500)
status = pathlib.Path('/proc/self/status').read_text()
print(imported - began, loaded - imported, int(status.split('VmRSS:')[1].split()[0]) / 1024)
"""


def rate(run: Callable[[Sequence[str]], object], texts: Sequence[str]) -> float:
    began = time.perf_counter()
    run(texts)
    return len(texts) / (time.perf_counter() - began)


def quiet_import(name: str) -> object | None:
    """A peer, without its warnings; None if it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except ImportError:
            return None


def main(shared: Path) -> None:
    texts = list(islice(cycle(real_texts(shared)), COUNT))
    scorer = Scorer.load()
    scorer.score(texts[:500])
    jieba = quiet_import("jieba")
    jieba.setLogLevel(logging.CRITICAL)  # type: ignore[union-attr]
    jieba.lcut("先读词典")  # type: ignore[union-attr]
    mine, theirs = alternate(
        lambda: rate(scorer.score, texts),
        lambda: rate(lambda some: [jieba.lcut(text) for text in some], texts[:CUT]),  # type: ignore[union-attr]
        ROUNDS,
    )
    size = sum(map(len, texts)) / len(texts)
    print(f"score: {COUNT:,} real posts of {size:.0f} characters in batches of 500, {ROUNDS} rounds")
    print(f"  tingchao, all heads      {spread(mine)} posts/s (wanted: 10,000)")
    print(f"  jieba.lcut alone         {spread(theirs)} posts/s; ratio {ratio(mine, theirs)}")
    snownlp = quiet_import("snownlp")
    if snownlp is None:
        print("  SnowNLP                  not installed (pip install snownlp); measured before: 104 posts/s")
    else:
        slow = [rate(lambda some: [snownlp.SnowNLP(text).sentiments for text in some], texts[:SLOW])]  # type: ignore[attr-defined]
        print(f"  SnowNLP, sentiment only  {spread(slow)} posts/s; ratio {ratio(mine[:1], slow)}")
    whole = "昨天夜里三号线停运了两个小时，没有人管。" * 17_500  # 1 MB in UTF-8
    rates = [rate(scorer.score, [whole]) for _ in range(ROUNDS)]
    print(f"  one post of {len(whole.encode()):,} bytes: {1000 / min(rates):.0f} ms at most (wanted: 200)")
    asked = [("safety", "negative")] * CUT
    whys = [rate(lambda some: scorer.phrases(some, asked), texts[:CUT]) for _ in range(ROUNDS)]
    print(f"  why, two heads           {spread(whys)} posts/s")
    done = subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True, text=True)
    imported, loaded, memory = map(float, done.stdout.split())
    megabytes = (Path(sys.modules[Scorer.__module__].__file__ or "").parent / FILE).stat().st_size / 1e6
    print(
        f"  model file {megabytes:.1f} MB (wanted: 20), imports {imported:.2f} s, load {loaded:.2f} s (1), "
        f"resident {memory:.0f} MB (150)"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
