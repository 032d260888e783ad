"""Lines of files become posts, or say why not."""

from __future__ import annotations

import io
import json
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tingchao.pipeline.errors import Poison, Refused
from tingchao.pipeline.intake import Raw
from tingchao.pipeline.rows import LINE_LIMIT, ROW_LINES, Line, raw, read_csv, read_jsonl

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def posts(data: bytes, reader=read_jsonl) -> list[Raw | str]:  # noqa: ANN001
    """Each line as a Raw, or the reason why it is none."""
    seen: Counter[bytes] = Counter()
    return [_one(line, seen) for line in reader(io.BytesIO(data))]


def _one(line: Line, seen: Counter[bytes]) -> Raw | str:
    try:
        return raw(line, "file", NOW, seen)
    except Poison as err:
        return err.reason


def jsonl(*objects: object) -> bytes:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in objects).encode()


def test_text_alone_is_enough() -> None:
    (post,) = posts(jsonl({"text": "地铁停了"}))
    assert isinstance(post, Raw)
    assert (post.text, post.source, post.published_at, post.url) == ("地铁停了", "file", None, "")


def test_all_fields_in_english_and_chinese() -> None:
    english = {"text": "t", "title": "h", "url": "http://a/b", "source": "s", "published_at": "2026-04-30T08:00:00Z"}
    english |= {"counts": {"likes": 3}, "reposts": 2, "author": "someone", "id": 7}
    chinese = {"正文": "t", "标题": "h", "链接": "http://a/b", "来源": "s", "发布时间": "2026-04-30 16:00", "点赞": 3}
    first, second = posts(jsonl(english, chinese))
    assert isinstance(first, Raw)
    assert isinstance(second, Raw)
    assert first.published_at == second.published_at == datetime(2026, 4, 30, 8, tzinfo=UTC)
    assert (first.counts.likes, first.counts.reposts, second.counts.likes) == (3, 2, 3)
    assert first.basis == "id 7"
    assert second.flags == ("no_zone",)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"not json\n", "line.not_json"),
        (b'{"text": "cut off\n', "line.not_json"),
        (b"[1, 2]\n", "line.not_an_object"),
        (b'{"title": "only a title"}\n', "post.no_text"),
        (b'{"text": "   "}\n', "post.no_text"),
        (b'{"text": null}\n', "post.no_text"),
        (b'{"text": ["a"]}\n', "post.bad_field"),
        (b'{"text": "a", "likes": "many"}\n', "post.bad_field"),
        (b'{"text": "a", "published_at": "yesterday"}\n', "post.bad_time"),
        (b'{"text": "a", "published_at": "2026-13-45"}\n', "post.bad_time"),
        (b'{"text": "a", "published_at": 1e300}\n', "post.bad_time"),
        (b"\xff\xfe\x00\n", "line.not_json"),
    ],
)
def test_a_bad_line_has_its_reason_and_the_next_is_read(line: bytes, reason: str) -> None:
    found = posts(line + jsonl({"text": "good"}))
    assert found[0] == reason
    assert isinstance(found[1], Raw)


def test_messages_never_quote_a_line_that_is_not_masked() -> None:
    for line in (
        b'{"text": "13812345678", "likes": "13812345678x"}\n',
        b'{"text": "a", "published_at": "13812345678x"}\n',
    ):
        (bad,) = read_jsonl(io.BytesIO(line))
        with pytest.raises(Poison) as caught:
            raw(bad, "file", NOW, Counter())
        assert "138" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "hour"),
    [
        ("2020-03-07T19:05:00+08:00", 11),
        ("2020-03-07 19:05", 11),
        ("2020/3/7 19:05", 11),
        ("2020年3月7日 19:05", 11),
        ("2020-03-07T11:05:00Z", 11),
        (1583579100, 11),
        ("1583579100000", 11),
    ],
)
def test_times_in_the_forms_that_files_have(written: object, hour: int) -> None:
    (post,) = posts(jsonl({"text": "a", "published_at": written}))
    assert isinstance(post, Raw)
    assert post.published_at == datetime(2020, 3, 7, hour, 5, tzinfo=UTC)


def test_a_line_that_would_fill_the_memory_is_passed_over() -> None:
    found = posts(b'{"text": "' + b"x" * (LINE_LIMIT + 10) + b'"}\n' + jsonl({"text": "good"}))
    assert found[0] == "line.too_long"
    assert isinstance(found[1], Raw)


def test_identical_rows_without_id_stay_apart_and_keep_their_ids_over_runs() -> None:
    data = jsonl({"text": "same"}, {"text": "same"}, {"text": "other"})
    once, again = posts(data), posts(data)
    bases = [post.basis for post in once if isinstance(post, Raw)]
    assert len(set(bases)) == 3
    assert bases == [post.basis for post in again if isinstance(post, Raw)]


def test_csv_with_quotes_line_breaks_and_a_bad_row() -> None:
    data = '\ufefftext,time,ignored\n"第一行\n第二行",2026-04-30 08:00,x\n"只有两列",y\n好的,,z\n'.encode()
    first, second, third = posts(data, read_csv)
    assert isinstance(first, Raw)
    assert isinstance(third, Raw)
    assert (first.text, second, third.published_at) == ("第一行\n第二行", "line.columns", None)


def test_one_unclosed_quote_costs_one_row_and_is_named() -> None:
    data = 'text,source\n一,a\n"二,a\n三,a\n"四，""引""",b\n五,b\n'.encode()
    found = list(read_csv(io.BytesIO(data)))
    assert [line.number for line in found] == [2, 3, 4, 5, 6]
    assert [line.fields["text"] for line in found if isinstance(line.fields, dict)] == ["一", "三", '四，"引"', "五"]
    broken = found[1].fields
    assert isinstance(broken, Poison)
    assert broken.reason == "line.open_quote"
    assert "a quote opens in line 3" in str(broken)


@given(
    st.lists(st.tuples(st.text("地铁停运 abc", min_size=1), st.booleans()), max_size=30),
    st.integers(0, 30),
)
def test_rows_around_an_unclosed_quote_are_all_read(rows: list[tuple[str, bool]], at: int) -> None:
    """Whatever the others hold: plain, or quoted with a comma and a line break."""
    at = min(at, len(rows))
    wanted = [f"{text},\n{text}" if quoted else text for text, quoted in rows]
    cells = [f'"{text}"' if "\n" in text else text for text in wanted]
    lines = ["text,source", *(f"{cell},s" for cell in cells[:at]), '"broken,s', *(f"{cell},s" for cell in cells[at:])]
    found = list(read_csv(io.BytesIO("\n".join(lines).encode() + b"\n")))
    read = [line.fields["text"] for line in found if isinstance(line.fields, dict)]
    assert read == wanted
    (broken,) = [line for line in found if isinstance(line.fields, Poison)]
    assert broken.number == "\n".join(lines).split("\n").index('"broken,s') + 1


def test_a_row_without_end_does_not_take_the_file_into_memory() -> None:
    data = b'text\n"open\n' + b"x\n" * (2 * ROW_LINES)
    found = list(read_csv(io.BytesIO(data)))
    assert len(found) == 2 * ROW_LINES + 1
    assert sum(isinstance(line.fields, Poison) for line in found) == 1


def test_csv_as_excel_in_china_saves_it() -> None:
    (post,) = posts("正文,来源\n地铁停运了,微博\n".encode("gb18030"), read_csv)
    assert isinstance(post, Raw)
    assert (post.text, post.source) == ("地铁停运了", "微博")


def test_csv_without_a_text_column_is_refused_without_quoting_it() -> None:
    with pytest.raises(Refused, match="2 columns: none of them is called 'text'"):
        posts(b"a,b\n1,2\n", read_csv)


@given(st.lists(st.text(max_size=30), max_size=20))
def test_every_line_is_a_post_or_has_a_reason(texts: list[str]) -> None:
    found = posts(b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts))
    assert len(found) == len(texts)
    assert all(isinstance(one, Raw) == bool(text.strip()) for one, text in zip(found, texts, strict=True))
