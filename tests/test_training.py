"""From a folder of labelled texts to a model file, and what may and may not train; the floors of the shipped model."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from typer.testing import CliRunner

from tingchao.config.language import in_language
from tingchao.models import measures
from tingchao.models.calibrate import fitted_scale, fitted_threshold
from tingchao.models.corpora import JUDGES_ONLY, DataError, Row, corpora, grouped, part_of, read_later, unlabelled
from tingchao.models.evaluate import Floor, data_hash, evaluate, held_sets, pin, read_floors
from tingchao.models.feedback import VERDICTS, Example, challenge
from tingchao.models.fit import Cut
from tingchao.models.labels import read_handmade
from tingchao.models.layers import COLUMNS
from tingchao.models.meaning import packed_rows
from tingchao.models.network import Network, fitted_network, joined
from tingchao.models.scorer import Scorer
from tingchao.models.scores import SIGNALS
from tingchao.models.tasks import Questions, questions_of, tasks_of
from tingchao.models.train import FOLDS, Trained, is_held, that_train, train, unseen_numbers
from tingchao.pipeline.cli import app
from tingchao.pipeline.commands.base import t

# One telling word a signal, and words around them; a tiny world in which a model can learn everything.
WORDS = ("爆炸", "地震", "中毒", "停电", "差评", "诈骗", "网传", "泄露", "求助")
PLACES = ("东城", "西山", "南湖", "北港", "中关", "新区", "古镇", "河口", "海岛", "平原")
HOUR = timedelta(hours=1)
MOODS = {"0": "糟糕难受", "1": "开心喜欢"}


def _csv(path: Path, rows: Sequence[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    raw = text.getvalue().encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)


def _text(number: int, word: str) -> str:
    place = PLACES[number % 10] + PLACES[number // 10 % 10]
    return f"{number}号{place}今天{word}了，第{number * 7}次，{PLACES[number // 3 % 10]}的人都说{word}"


def _labelled(number: int) -> dict[str, object]:
    signal = number % (len(SIGNALS) + 3)
    given = [SIGNALS[signal]] if signal < len(SIGNALS) else []
    return {
        "id": str(number),
        "drawn": "random" if number % 2 else "keyword:safety",
        "signals": given,
        "severity": number % 4 if given else 0,
        "live": bool(given),
        "sentiment": ("negative", "neutral", "positive")[number % 3],
        "set": "rumour_weibo21" if number % 10 == 9 else "weibo2018",
        "text": _text(number, WORDS[signal] if given else "散步"),
    }


@pytest.fixture(scope="module", autouse=True)
def _few_of_our_own() -> Iterator[None]:
    """Our own texts are many times this world, and all of them take a minute a training; these do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tingchao.models.corpora.read_handmade", lambda: read_handmade()[::10])
        yield


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the documented format, with nothing real in it."""
    folder = tmp_path_factory.mktemp("shared")
    data = folder / "data"
    moody = [{"label": str(n % 2), "text": _text(n, MOODS[str(n % 2)])} for n in range(120)]
    _csv(data / "weibo2018/dev.csv.gz", moody)
    _csv(data / "chnsenticorp/dev.csv.gz", [row | {"text": "酒店" + row["text"]} for row in moody])
    _csv(
        data / "online_shopping10/dev.csv.gz",
        [row | {"text": "水果" + row["text"], "category": "水果"} for row in moody],
    )
    names = ("negative", "neutral", "positive")
    three = [
        {"sentiment": names[n % 3], "emotion": "x", "text": _text(n, "心情" + "坏平好"[n % 3])} for n in range(120)
    ]
    _csv(data / "smp2020_ewect/dev_usual.csv", three)
    _csv(data / "smp2020_ewect/dev_virus.csv.gz", [row | {"text": "疫情" + row["text"]} for row in three])
    _csv(data / "bdci_car2018/dev.csv.gz", [row | {"text": "汽车" + row["text"]} for row in three])
    spam = [{"label": "ad", "text": f"PLACE 优惠 大 促销 {n} 折 点击 URL 退订 {PLACES[n % 10]}"} for n in range(60)]
    _csv(data / "spam_fbs_sms/dev.csv.gz", spam)
    _csv(data / "weibo_hot_titles/daily_titles_2021_2022.csv.gz", [{"title": _text(n, "下雨")} for n in range(50)])
    _csv(data / "weibo_hot_hourly/dev_topics.csv.gz", [{"title": f"{n}热", "description": "某事"} for n in range(9)])
    _csv(data / "zhihu_hot/dev.csv.gz", [{"title": f"如何看待{n}"} for n in range(9)])
    for name in (
        "cctv_weibo2020/posts.csv.gz",
        "tnews_few/unlabelled.csv.gz",
        "tnews_few/dev.csv",
        "rumour_ced/dev.csv",
    ):
        _csv(data / name, [{"text": f"{name}{n}新闻"} for n in range(9)])
    _csv(data / "gov_complaints/dev.csv", [{"title": "来信", "text": f"{n}请处理"} for n in range(9)])
    _csv(data / "weibo2018/topics_unlabelled.csv", [{"text": f"{n}话题"} for n in range(9)])
    with gzip.open(data / "rumour_ced/spread_dev.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps({"first_texts": [[1, "这条消息是真的吗请大家核实一下"]]}) + "\n")
    (folder / "annotation").mkdir()
    lines = "".join(json.dumps(_labelled(n), ensure_ascii=False) + "\n" for n in range(480))
    (folder / "annotation/labelled.jsonl").write_text(lines, "utf-8")
    return folder


@pytest.fixture(scope="module")
def trained(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tiny, tmp_path_factory.mktemp("model"), seed=3)


def test_training_makes_a_model_that_learned(trained: Trained) -> None:
    scorer = Scorer.load(trained.path.parent)
    assert trained.sha256.startswith(scorer.version)
    for signal, word in zip(SIGNALS, WORDS, strict=True):
        assert signal in scorer.score([_text(777, word)])[0].given
    happy, sad = scorer.score([_text(777, MOODS["1"]), _text(777, MOODS["0"])])
    assert happy.positive > happy.negative
    assert sad.negative > sad.positive
    assert scorer.score(["优惠大促销点击退订优惠大促销点击"])[0].advert > 0.5


def test_the_same_seed_trains_the_same_model(tiny: Path, trained: Trained, tmp_path: Path) -> None:
    assert train(tiny, tmp_path / "again", seed=3).sha256 == trained.sha256


def test_evaluation_writes_a_card_and_checks_the_floors(tiny: Path, trained: Trained, tmp_path: Path) -> None:
    folder = trained.path.parent
    report = evaluate(tiny, folder, tmp_path / "CARD.md")
    assert report.floors_hold
    text = (tmp_path / "CARD.md").read_text("utf-8")
    assert "fitted on these very outputs" not in text
    assert report.version in text
    assert all(name in text for name in ("weibo2018", "smp2020 virus", "macro-F1 of nine signals", "Calibration"))
    assert all(f"| reviews{name}" in text for name in (", cross-fitted", " of a new domain"))
    assert "95 %" in str(report)
    pin(report, folder / "floors.json")
    floors = read_floors(folder / "floors.json")
    assert evaluate(tiny, folder, tmp_path / "CARD.md").floors_hold
    high = [Floor(floors[0].name, floors[0].metric, 1.1, floors[0].data)]
    pin_raw(folder / "floors.json", high)
    broken = evaluate(tiny, folder, tmp_path / "CARD.md")
    assert not broken.floors_hold
    assert "at least 1.1" in broken.broken[0]
    pin_raw(folder / "floors.json", [Floor(floors[0].name, floors[0].metric, 0.0, "other texts")])
    assert "evaluation data" in evaluate(tiny, folder, tmp_path / "CARD.md").broken[0]
    (folder / "floors.json").unlink()


def pin_raw(path: Path, floors: list[Floor]) -> None:
    rows = [{"name": one.name, "metric": one.metric, "least": one.least, "data": one.data} for one in floors]
    path.write_text(json.dumps(rows), "utf-8")


def test_texts_whose_terms_forbid_it_never_train(tiny: Path) -> None:
    rows = corpora(tiny)
    assert any(row.part in JUDGES_ONLY for row in rows)
    assert all(is_held(row) for row in rows if row.part in JUDGES_ONLY)


def test_texts_labelled_later_train(tiny: Path) -> None:
    rows = corpora(tiny)
    later = read_later(rows, unlabelled(tiny))
    assert {row.part for row in later} >= {"handmade"}
    assert all(row.corpus == "read" and row.signals is not None and not is_held(row) for row in later)


def test_no_near_duplicate_of_a_text_that_judges_trains(tiny: Path) -> None:
    rows, pool = corpora(tiny), unlabelled(tiny)
    judge = next(row for row in rows if row.corpus == "weibo" and is_held(row))
    alike = [replace(judge, corpus=name, signals=(False,) * len(SIGNALS)) for name in ("annotated", "read")]
    assert not any(map(is_held, alike)), "by themselves they would train"
    judges_only = replace(next(row for row in rows if row.corpus == "weibo" and not is_held(row)), may_train=False)
    learned = that_train([*rows, *alike, judges_only], pool)
    assert not {row.key for row in learned} & {judge.key, judges_only.key}
    assert {row.corpus for row in learned} >= {"weibo", "annotated", "read"}


def _lie(row: Row) -> Row:
    signals = row.signals and tuple(not one for one in row.signals)
    feeling = None if row.sentiment is None else 2 - row.sentiment
    return replace(row, sentiment=feeling, live=not row.live, signals=signals)


def test_figures_on_a_fold_hang_on_nothing_that_was_fitted_on_it(tiny: Path) -> None:
    rows, generator = that_train(corpora(tiny), []), np.random.default_rng(0)
    raw = generator.normal(size=(len(rows), len(COLUMNS))).astype(np.float32)
    fold = np.array([part_of(row.key, FOLDS) for row in rows])
    domain = np.array([2 if row.corpus == "review" and row.part == "水果" else -1 for row in rows])
    cut = Cut(fold, domain)

    def views(changed: np.ndarray) -> list[np.ndarray]:
        """With other labels on some of the rows."""
        lies = [_lie(row) if lie else row for row, lie in zip(rows, changed.tolist(), strict=True)]
        return unseen_numbers(raw, lies, tasks_of(lies, np.random.default_rng(0)), cut)

    honest, lied = views(fold < 0), views(fold == 1)
    assert len(honest) == FOLDS
    np.testing.assert_array_equal(honest[1], lied[1])
    assert np.abs(honest[0] - lied[0]).max() > 0.01
    np.testing.assert_array_equal(honest[2], views(domain == 2)[2])


def test_a_damaged_annotation_is_named_with_its_line(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(tiny / "data")
    (tmp_path / "annotation").mkdir()
    (tmp_path / "annotation/labelled.jsonl").write_text('{"text": "x"}\n', "utf-8")
    with pytest.raises(DataError, match=r"labelled\.jsonl, line 1"):
        corpora(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("weibo2018/dev.csv.gz", gzip.compress(b"label,text\n7,x\n"), r"weibo2018.*row 1: label '7', expected one of"),
        ("weibo2018/dev.csv.gz", gzip.compress(b"label,words\n1,x\n"), r"weibo2018.*row 1: no text"),
        ("chnsenticorp/dev.csv.gz", gzip.compress(b"label,text\n1,x\n1\n"), r"chnsenticorp.*row 2: no text"),
        ("bdci_car2018/dev.csv.gz", gzip.compress(b"text,sentiment\nx,positive\n")[:20], "bdci_car2018"),
        ("zhihu_hot/dev.csv.gz", gzip.compress(b"text\nx\n"), r"zhihu_hot.*row 1: no title"),
        ("rumour_ced/spread_dev.jsonl.gz", gzip.compress(b"[]\n"), "spread_dev"),
        ("rumour_ced/spread_dev.jsonl.gz", gzip.compress(b"{}\n")[:15], "spread_dev"),
    ],
)
def test_a_damaged_table_is_named(tiny: Path, tmp_path: Path, name: str, content: bytes, said: str) -> None:
    shutil.copytree(tiny, tmp_path / "shared")
    (tmp_path / "shared/data" / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        _ = corpora(tmp_path / "shared"), unlabelled(tmp_path / "shared")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="weibo2018"):
        corpora(tmp_path)


def test_both_feelings_count_alike_within_each_kind_of_text() -> None:
    feelings = {"review": [0, 0, 0, 2], "usual": [0, 2, 2], "weibo": [0, 0]}
    rows = [
        Row(f"{kind} {number}", kind, feeling) for kind, some in feelings.items() for number, feeling in enumerate(some)
    ]
    rows.append(Row("plain", "annotated", 1, (False,) * len(SIGNALS), 0, live=False))
    task = tasks_of(rows, np.random.default_rng(0))["polarity all"]
    kind = np.array([rows[at].corpus for at in task.rows])

    def count(name: str, *, good: bool) -> float:
        return float(task.weight[(kind == name) & (task.truth == good)].sum())

    assert count("review", good=False) == pytest.approx(count("review", good=True)) == pytest.approx(2)
    assert count("usual", good=False) == pytest.approx(count("usual", good=True)) == pytest.approx(1.5)
    assert count("weibo", good=False) == pytest.approx(2), "where all answers are alike each counts once"
    asked = questions_of({"polarity all": task}, ["deep polarity"], len(rows)).asked[:, 0]
    assert asked[task.rows].tolist() == pytest.approx(task.weight.tolist()), "also where the network is asked"
    assert asked.sum() == pytest.approx(task.weight.sum())


def test_a_review_whose_domain_was_left_out_is_scored_by_a_fit_that_knows_none() -> None:
    cut = Cut(fold=np.array([0, 1, 1, 2]), domain=np.array([0, 0, 1, -1]))
    assert cut.new.tolist() == [True, False, True, False]
    assert [seen.tolist() for seen in map(cut.seen, range(3))] == [
        [False, False, True, True],
        [True, False, False, True],
        [True, True, True, False],
    ]


def test_near_duplicates_stay_on_one_side() -> None:
    start, end = "昨天夜里三号线停运两个小时没有人管乘客都在骂", "地铁公司今天早上终于道歉了大家说太晚了不接受"
    keys = grouped([start + "一", start + end, "二二二" + end, "别的事情别的事情别的事情别的事情别的事情别的事情"])
    assert keys[0] == keys[1] == keys[2] != keys[3]


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(PLACES), min_size=12, max_size=15).map("".join), min_size=1, max_size=20))
def test_equal_beginnings_have_equal_keys(texts: list[str]) -> None:
    keys = grouped([*texts, *(f"{text}，{number}又有新的说法" for number, text in enumerate(texts))])
    assert keys[: len(texts)] == keys[len(texts) :]


@given(st.text(), st.integers(1, 20))
def test_a_group_is_always_in_the_same_part(key: str, parts: int) -> None:
    assert part_of(key, parts) == part_of(key, parts)
    assert 0 <= part_of(key, parts) < parts


def test_calibration_keeps_the_rate_of_the_texts_drawn_at_random() -> None:
    generator = np.random.default_rng(0)
    outputs = generator.normal(size=(4000, 2)).astype(np.float32)
    truth = outputs[:, 0] + generator.normal(size=4000) > 0.3
    random = generator.random(4000) < 0.5
    kept = ~random | ~truth | (generator.random(4000) < 0.2)  # fewer true ones among the random
    outputs, truth, random = outputs[kept], truth[kept], random[kept]
    table, deep, shift = fitted_scale(outputs, truth, random)
    chance = 1 / (1 + np.exp(-(outputs @ np.array([table, deep]) + shift)))
    assert chance[random].mean() == pytest.approx(truth[random].mean(), abs=0.005)
    assert table > 5 * abs(deep)


def test_a_threshold_is_where_f1_is_best() -> None:
    chance = np.tile(np.array([0.1, 0.2, 0.6, 0.7, 0.8], dtype=np.float32), 40)
    truth = np.tile(np.array([False, False, True, False, True]), 40)
    assert fitted_threshold(chance, truth) == pytest.approx(0.4, abs=0.01)
    assert fitted_threshold(chance, np.zeros(200, dtype=np.bool_)) == 1.0, "never seen: never given"


def test_a_threshold_hangs_on_no_single_text() -> None:
    generator = np.random.default_rng(0)
    chance = generator.random(2000).astype(np.float32) ** 3
    truth = generator.random(2000) < chance
    rare = np.flatnonzero(truth)[:1]
    without = np.delete(np.arange(2000), rare)
    assert fitted_threshold(chance, truth) == pytest.approx(fitted_threshold(chance[without], truth[without]), rel=0.1)


def test_the_network_learns_what_is_asked_and_only_that() -> None:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(3000, 20)).astype(np.float32)
    truth = np.stack((inputs[:, 0] * inputs[:, 1] > 0, inputs[:, 2] > 0), axis=1).astype(np.float32)
    asked = np.tile(np.array([1, 0], dtype=np.float32), (3000, 1))
    words, vectors = csr_matrix(inputs), np.eye(20, dtype=np.float32)
    network = fitted_network(words, vectors, Questions(truth, asked, np.full(3000, 4)), width=64, seed=0)
    right = (network.outputs(words) > 0) == truth
    assert right[:, 0].mean() > 0.8
    assert right[:, 1].mean() < 0.6


def test_the_network_tells_words_apart_whose_vectors_are_alike() -> None:
    generator = np.random.default_rng(0)
    texts = generator.integers(0, 2, size=(3000, 6)).astype(np.float32)
    vectors = np.ones((6, 4), dtype=np.float32)
    truth = (texts[:, :1] > texts[:, 1:2]).astype(np.float32)
    words = csr_matrix(texts)
    questions = Questions(truth, np.ones_like(truth), np.full(3000, 4))
    network = fitted_network(words, vectors, questions, width=64, seed=0)
    assert ((network.outputs(words) > 0) == truth).mean() > 0.9


def test_joined_networks_give_what_each_gives() -> None:
    generator = np.random.default_rng(0)

    def network(width: int, targets: int) -> Network:
        shapes = (6, width), (width,), (width, targets), (targets,)
        return Network(*(generator.normal(size=shape).astype(np.float32) for shape in shapes))

    parts, words = [network(5, 2), network(8, 3)], csr_matrix(generator.normal(size=(10, 6)).astype(np.float32))
    apart = np.concatenate([part.outputs(words) for part in parts], axis=1)
    np.testing.assert_allclose(joined(parts).outputs(words), apart, rtol=1e-4, atol=1e-5)


def test_word_rows_survive_packing() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    small, size = packed_rows(rows)
    assert np.abs(small * size[:, None] - rows).max() <= np.abs(rows).max() / 250


def test_measures_against_known_answers() -> None:
    truth = np.array([0, 0, 1, 1, 2])
    said = np.array([0, 1, 1, 1, 2])
    assert measures.accuracy(truth, said) == pytest.approx(0.8)
    assert measures.macro_f1(truth, said) == pytest.approx((2 / 3 + 0.8 + 1) / 3)
    assert measures.quadratic_kappa(truth, truth) == pytest.approx(1)
    assert measures.quadratic_kappa(np.array([0, 3]), np.array([3, 0])) == pytest.approx(-1)
    assert measures.average_precision(np.array([True, False, True]), np.array([0.9, 0.8, 0.7])) == pytest.approx(5 / 6)
    even = np.linspace(0, 1, 1000)
    assert measures.calibration_error(even, np.random.default_rng(0).random(1000) < even) < 0.06
    assert measures.calibration_error(np.full(1000, 0.9), np.zeros(1000, dtype=np.bool_)) == pytest.approx(0.9)


@pytest.mark.shared
def test_the_shipped_model_is_above_its_floors(shared: Path, tmp_path: Path) -> None:
    report = evaluate(shared, card_to=tmp_path / "CARD.md")
    assert report.broken == ()
    assert read_floors(Path(str(measures.__file__)).parent / "floors.json")


@pytest.mark.shared
def test_the_card_tells_of_the_shipped_model() -> None:
    folder = Path(str(measures.__file__)).parent
    assert Scorer.load().version in (folder / "CARD.md").read_text("utf-8")


def test_a_challenger_learns_from_verdicts_and_wins_only_if_it_is_better(
    tiny: Path, trained: Trained, tmp_path: Path
) -> None:
    """Three alerts in four tell of an outage in words that no set has; the others are talk in the same words."""
    day = datetime(2026, 3, 2, tzinfo=UTC)
    words = {True: "道岔卡住全线趴窝", False: "道岔工艺讲座开讲"}
    texts = [f"{_text(1000 + n, words[n % 4 > 0])}，{PLACES[n % 10]}接着{PLACES[n // 10]}" for n in range(80)]
    verdicts = [
        Example(text, ("outage",) if n % 4 else (), f"alert {n}", day + n * HOUR) for n, text in enumerate(texts)
    ]
    floors = tmp_path / "pinned.json"
    pin(evaluate(tiny, trained.path.parent, tmp_path / "CARD.md"), floors)
    found = challenge(tiny, trained.path.parent, tmp_path, verdicts, seed=3, floors=floors)
    assert (found.learned, found.judged, found.left_out) == (64, 16, 0)
    assert found.champion != found.challenger
    brier = {one.metric: one for one in found.differences if one.name == VERDICTS}["signals, 1 - Brier"]
    assert brier.better
    assert found.wins == (not any(one.worse for one in found.differences))
    assert "outage" in Scorer.load(tmp_path).score([_text(1999, words[True])])[0].given
    assert Scorer.load(trained.path.parent).version == found.champion  # the old one is not touched


def test_on_other_texts_than_the_pinned_ones_a_challenger_is_refused_before_training(
    tiny: Path, trained: Trained, tmp_path: Path
) -> None:
    verdicts = [
        Example(_text(n, "趴窝"), ("outage",), f"alert {n}", datetime(2026, 3, 2, tzinfo=UTC)) for n in range(9)
    ]
    said: list[str] = []
    with pytest.raises(DataError) as caught:
        challenge(tiny, trained.path.parent, tmp_path / "out", verdicts, say=said.append)
    got = data_hash(held_sets(corpora(tiny))["weibo2018"])[:12]
    wanted = next(
        one.data for one in read_floors(Path(str(measures.__file__)).parent / "floors.json") if "weibo" in one.name
    )
    for language, word in (("zh", "还没有训练"), ("en", "nothing was trained")):
        message = str(in_language(caught.value, language))
        assert all(part in message for part in (str(tiny), word, f"weibo2018 {got} ≠ {wanted[:12]}", "floors.json"))
    assert said == []
    assert not (tmp_path / "out").exists()


def test_without_data_or_verdicts_a_challenger_is_refused_in_words(
    tiny: Path, trained: Trained, tmp_path: Path
) -> None:
    floors = tmp_path / "pinned.json"
    pin(evaluate(tiny, trained.path.parent, tmp_path / "CARD.md"), floors)
    day = datetime(2026, 3, 2, tzinfo=UTC)
    one = Example(_text(1000, "趴窝"), ("outage",), "a", day)
    with pytest.raises(DataError, match=r"no data/ and annotation/.*give that folder"):
        challenge(tmp_path, trained.path.parent, tmp_path / "out", [one])
    with pytest.raises(DataError, match=r"1 posts were judged.*alerts verdict"):
        challenge(tiny, trained.path.parent, tmp_path / "out", [Example("Hello", (), "a", day)], floors=floors)
    assert not (tmp_path / "out").exists()


def test_the_commands_say_what_they_made_and_leave_the_shipped_card_alone(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Trained(tmp_path / "tingchao.skops", "0123456789abcdef", 7, 9, 90.0)
    monkeypatch.setattr("tingchao.models.train.train", lambda *_: made)
    done = CliRunner().invoke(app, ["train", str(tiny), "--out", str(tmp_path)])
    assert done.output.startswith(
        t("said.trained", rows=9, features=7, minutes="1.5", name="0123456789ab", path=made.path)
    )
    shipped = [Path(str(measures.__file__)).with_name(name) for name in ("CARD.md", "reference.json")]
    before = [path.read_bytes() for path in shipped]
    done = CliRunner().invoke(app, ["evaluate", str(tiny)])
    assert done.exit_code == 1, "what is not pinned is not known to hold"
    assert all(part in done.output for part in ("weibo2018", "CARD.md", "reference.json", "≠"))
    assert [path.read_bytes() for path in shipped] == before
