"""The shipped model: what it says, how it abstains, what it does with bad input and with a bad file."""

from __future__ import annotations

import importlib
import logging
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

import tingchao.models.features as features
import tingchao.models.scorer as scoring
from tingchao.models.files import FILE, digest, packed, read_model
from tingchao.models.normalise import plain_batch
from tingchao.models.scorer import Scorer
from tingchao.models.scores import HEADS, SIGNALS, ModelError
from tingchao.models.table import Table, packed_weights

CRASH = "昨天山西高速公路发生特大交通事故，47辆车连环相撞，已造成3死7伤"
ANGRY = "这家店服务态度太差了，等了两个小时，退款也不给退，再也不来了"
HAPPY = "今天收到礼物了，真的好喜欢，太开心了，谢谢大家！"
QUIET = "周末和朋友去公园散步，晚上一起看电影"


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer.load()


def test_a_crash_is_a_live_and_severe_safety_signal(scorer: Scorer):
    scores = scorer.score([CRASH])[0]
    assert "safety" in scores.given
    assert scores.signal("safety") > 0.8
    assert scores.live > 0.5
    assert scores.severity > 1.5
    assert scores.neutral > scores.positive


def test_sentiment_tells_anger_from_joy(scorer: Scorer):
    angry, happy = scorer.score([ANGRY, HAPPY])
    assert angry.negative > 0.8
    assert "complaint" in angry.given
    assert happy.positive > 0.8
    assert not happy.given


def test_a_quiet_post_gives_no_signal(scorer: Scorer):
    assert scorer.score([QUIET])[0].given == ()


def test_long_texts_are_read_a_few_at_a_time(scorer: Scorer, monkeypatch: pytest.MonkeyPatch):
    sizes: list[int] = []

    def counted(texts: Sequence[str]) -> features.Reading:
        sizes.append(sum(map(len, texts)))
        return features.read(texts)

    texts = [QUIET * 800, ANGRY, "", CRASH * 500, HAPPY * 400] * 4
    alone = [scorer.score([text])[0] for text in texts]
    monkeypatch.setattr(scoring, "read", counted)
    together = scorer.score(texts)
    assert max(sizes) <= 100_000 < sum(sizes) == sum(map(len, texts))
    assert [one.signals for one in together] == [pytest.approx(one.signals, abs=1e-4) for one in alone]
    sizes.clear()
    assert len(scorer.whys(texts, [("safety",)] * len(texts), 1)) == len(texts)
    assert max(sizes) <= 20_000
    assert sum(sizes) == sum(map(len, texts))


def test_why_names_the_words_that_moved_the_head(scorer: Scorer):
    moved = scorer.why(CRASH, "safety")
    assert moved[0][0] in {"交通事故", "相撞"}
    assert moved[0][1] > 0
    assert [abs(change) for _, change in moved] == sorted((abs(change) for _, change in moved), reverse=True)
    assert len(scorer.why(CRASH, "safety", limit=2)) == 2


def test_why_of_an_unknown_head_names_the_heads(scorer: Scorer):
    with pytest.raises(ValueError, match="safety"):
        scorer.why(CRASH, "danger")


@pytest.mark.parametrize("head", HEADS)
def test_why_explains_every_head(scorer: Scorer, head: str):
    assert scorer.why(CRASH + ANGRY, head)


@pytest.mark.parametrize(
    ("text", "lang"),
    [
        ("", "none"),
        ("   \n\t", "none"),
        ("😀😀🔥", "none"),
        ("12345 !!!", "none"),
        ("火", "zh"),
        ("！！停。", "zh"),
        ("の", "other"),
        ("おいしいの", "other"),
        ("カ ラ オ ケ", "other"),
        ("東京は", "other"),
        ("私の猫は", "other"),
        ("東京の天気が", "other"),
        ("大丈夫です", "other"),
        ("お茶", "other"),
        ("私の猫の名の字", "other"),
        ("한국의 지하철", "other"),
        ("Breaking: fire in the city centre, three people hurt", "other"),
        ("ありがとうございます、東京は晴れです", "other"),
        ("안녕하세요 여러분", "other"),
        ("Пожар в центре города", "other"),
    ],
)
def test_what_is_not_chinese_gets_the_base_rates(scorer: Scorer, text: str, lang: str):
    scores = scorer.score([text])[0]
    assert (scores.lang, scores.abstained, scores.given) == (lang, True, ())
    assert scores.signals == scorer.score([""])[0].signals
    assert max(scores.signals) < 0.2
    assert scorer.why(text, "safety") == []


@pytest.mark.parametrize(
    "text", ["地铁の着火", "停电の", "奶茶の日常", "停电 の 通知", "Σ(っ °Д °;)っ 着火", "停电", "地铁の着火了"]
)
def test_one_kana_makes_no_short_chinese_text_japanese(scorer: Scorer, text: str):
    (scores,) = scorer.score([text, "おいしい"])[:1]
    assert (scores.lang, scores.abstained) == ("zh", False)


@pytest.mark.parametrize(
    "text",
    [
        "\x00",
        "火灾\x00爆炸",
        "\ud800火灾\udfff现场",
        "<script>" * 1000,
        "&#x110000; &lt;b&gt;火灾",
        "\U0010ffff火灾",
        "a\nb\nc",
    ],
)
def test_strange_input_is_scored(scorer: Scorer, text: str):
    before, scores, after = scorer.score([CRASH, text, CRASH])
    assert before.signals == pytest.approx(after.signals, abs=1e-6)
    assert sum((scores.negative, scores.neutral, scores.positive)) == pytest.approx(1, abs=1e-5)


def test_every_code_point_can_stand_in_a_text(scorer: Scorer):
    texts = ["火灾现场" + "".join(map(chr, range(first, first + 512))) for first in range(0, 0x110000, 512)]
    scored = [scorer.score(texts[first : first + 100]) for first in range(0, len(texts), 100)]
    assert sum(map(len, scored)) == len(texts)


def test_html_left_in_the_text_changes_nothing(scorer: Scorer):
    marked = f"<div class='a'><script>var a = 1;</script><p>{CRASH}</p></div>"
    assert scorer.score([marked])[0].signals == pytest.approx(scorer.score([CRASH])[0].signals, abs=1e-6)


def test_one_megabyte_is_scored_by_its_beginning(scorer: Scorer):
    scores = scorer.score([(CRASH + "。") * 10_000])[0]
    assert "safety" in scores.given


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=60), max_size=12))
def test_every_text_gets_probabilities_in_order(texts: list[str]):
    scorer = _shipped()
    together = scorer.score(texts)
    assert len(together) == len(texts)
    for text, scores in zip(texts, together, strict=True):
        assert 0 <= scores.severity <= 3
        assert all(0 <= value <= 1 for value in (*scores.signals, scores.live, scores.advert, scores.negative))
        alone = scorer.score([text])[0]
        assert alone.given == scores.given
        assert alone.signals == pytest.approx(scores.signals, abs=1e-5)


_CACHE: list[Scorer] = []


def _shipped() -> Scorer:
    if not _CACHE:
        _CACHE.append(Scorer.load())
    return _CACHE[0]


def test_no_texts_give_no_scores(scorer: Scorer):
    assert scorer.score([]) == []


def test_the_file_is_small_and_scoring_imports_no_training_library():
    assert (Path(features.__file__).parent / FILE).stat().st_size <= 20_000_000
    code = (
        "import pathlib, sys; from tingchao.models.scorer import Scorer; Scorer.load().score(['火灾现场'] * 500);"
        "status = pathlib.Path('/proc/self/status').read_text();"
        "print('sklearn' in sys.modules, status.split('VmRSS:')[1].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    trained, kilobytes = done.stdout.split()
    assert trained == "False"
    assert int(kilobytes) < 150 * 1024


def test_the_version_is_the_hash_of_arrays_and_settings(scorer: Scorer):
    arrays, config, sha256 = read_model(Path(features.__file__).parent / FILE)
    assert digest(arrays, config) == sha256
    assert scorer.version == sha256[:12]
    assert config["signals"] == list(SIGNALS)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copy(Path(features.__file__).parent / FILE, tmp_path))


def test_a_missing_model_file_is_named(tmp_path: Path):
    with pytest.raises(ModelError, match=r"tingchao\.skops.*tingchao train"):
        Scorer.load(tmp_path)


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.999])
def test_a_truncated_model_file_is_refused(copy: Path, kept: float):
    raw = copy.read_bytes()
    copy.write_bytes(raw[: kept if isinstance(kept, int) else int(len(raw) * kept)])
    with pytest.raises(ModelError, match="tingchao train"):
        Scorer.load(copy.parent)


def _rewritten(path: Path, **changes: object) -> None:
    stored = skops.io.load(path, trusted=[])
    skops.io.dump(stored | changes, path)


def test_a_changed_model_file_is_refused(copy: Path):
    bias = skops.io.load(copy, trusted=[])["array bias"]
    _rewritten(copy, **{"array bias": bias + 1})
    with pytest.raises(ModelError, match="it was changed"):
        Scorer.load(copy.parent)


def test_a_model_file_with_a_bottomless_schema_is_refused(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / FILE, "w") as archive:
        archive.writestr("schema.json", "[" * 100_000 + "]" * 100_000)
    with pytest.raises(ModelError, match=r"RecursionError.*tingchao train"):
        Scorer.load(tmp_path)


def test_a_model_file_of_another_format_is_refused(copy: Path):
    _rewritten(copy, format="999")
    with pytest.raises(ModelError, match="format 999"):
        Scorer.load(copy.parent)


def test_a_model_file_with_other_heads_is_refused(copy: Path):
    arrays, config, _ = read_model(copy)
    skops.io.dump(packed(arrays, config | {"signals": ["other"]}), copy)
    with pytest.raises(ModelError, match="another version"):
        Scorer.load(copy.parent)


@pytest.mark.parametrize("name", ["polarity", "neutral", "mix", "single", "thresholds"])
def test_a_model_file_with_layers_of_another_shape_is_refused(copy: Path, name: str):
    arrays, config, _ = read_model(copy)
    skops.io.dump(packed(arrays | {name: arrays[name][:1]}, config), copy)
    with pytest.raises(ModelError, match="another version"):
        Scorer.load(copy.parent)


def test_a_model_file_with_another_type_inside_is_refused(copy: Path):
    _rewritten(copy, extra=Path("x").suffix.join)
    with pytest.raises(ModelError, match="unknown type"):
        Scorer.load(copy.parent)


def test_weights_survive_packing():
    weights = np.random.default_rng(0).laplace(size=(1000, 3)).astype(np.float32)
    table = Table(*packed_weights(weights), np.zeros(3, dtype=np.float32))
    assert np.abs(table.rows(np.arange(1000)) - weights).max() <= 0.01 * np.abs(weights).max()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.integers(0, 99), max_size=9, unique=True), min_size=1, max_size=9))
def test_the_sums_of_the_used_rows_are_those_of_the_whole_table(texts: list[list[int]]):
    weights = np.random.default_rng(0).laplace(size=(100, 4)).astype(np.float32)
    table = Table(*packed_weights(weights), np.arange(4, dtype=np.float32))
    dense = np.zeros((len(texts), 100), dtype=np.float32)
    for row, known in zip(dense, texts, strict=True):
        row[known] = 0.5
    whole = dense @ table.rows(np.arange(100)) + np.arange(4, dtype=np.float32)
    assert table.outputs(csr_matrix(dense)) == pytest.approx(whole, abs=1e-4)


def test_the_slow_cutter_gives_nearly_the_same_words():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jieba 0.42.1 has invalid escapes in its patterns
        jieba = importlib.import_module("jieba")
    jieba.setLogLevel(logging.CRITICAL)
    texts = [CRASH, ANGRY, HAPPY, QUIET, "网传今晚停电，是真的吗？求证", "李女士在超市买到过期牛奶，已向12315投诉"]
    plain = plain_batch(texts)
    fast, slow = features.words_of(plain), features.words_of(plain, jieba.lcut)
    same = set(zip(fast.starts.tolist(), fast.lengths.tolist(), strict=True)) & set(
        zip(slow.starts.tolist(), slow.lengths.tolist(), strict=True)
    )
    assert len(same) >= 0.95 * len(slow.starts)


def test_the_same_feature_has_the_same_hash_wherever_it_stands():
    one, two = plain_batch(["火灾"]), plain_batch(["今天天气很好，没有什么", "火灾"])
    first = set(features.reading_of(one).hashes.tolist())
    _, _, texts, hashes, _ = features.reading_of(two)
    assert first == set(hashes[texts == 1].tolist())


def test_news_that_name_a_brand_or_a_price_are_no_adverts(scorer: Scorer):
    titles = [
        "电信断网",
        "iPhone17全球断货",
        "三亚客房退订新规",
        "特价商品不退不换违法",
        "BLACKPINK巡演延期",
        "房贷利率又降了",
    ]
    assert [text for text, one in zip(titles, scorer.score(titles), strict=True) if one.advert > 0.5] == []


def test_adverts_are_told_from_reports_of_the_same_thing(scorer: Scorer):
    adverts = [
        "小店今日开业，奶茶第二杯半价，先到先得，加微信领券，地址在大学城北门",
        "专业上门修水管，漏水不用愁，二十四小时服务，不修好不收费，电话<PHONE>",
        "急用钱找我，当天放款，利息低，不看征信，加微信详谈",
    ]
    reports = [
        "大学城北门奶茶店今天开业，排队踩伤两人",
        "北门水管爆了，家里漏水没人来修",
        "有人自称放款，收了手续费就把我拉黑了",
    ]
    chances = [one.advert for one in scorer.score([*adverts, *reports])]
    assert min(chances[:3]) > 0.5 > max(chances[3:])
