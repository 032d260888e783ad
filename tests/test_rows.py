"""Lines of files become posts, or say why not."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tingchao.pipeline.errors import Poison, Refused
from tingchao.pipeline.intake import Raw
from tingchao.pipeline.rows import LINE_LIMIT, ROW_LINES, Line, raw, read_csv, read_jsonl, read_posts

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
        (b'{"text": true}\n', "post.bad_field"),
        (b'{"text": "a", "published_at": true}\n', "post.bad_time"),
        (b'{"text": "a", "published_at": false}\n', "post.bad_time"),
        (b'{"text": "a", "published_at": 20261345}\n', "post.bad_time"),
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
        b'{"text": "13812345678", "id": ["13812345678x"]}\n',
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
        ("1583579100000000", 11),
        (1583579100000000000, 11),
        (202003071905, 11),
        ("20200307190500", 11),
        (" 2020-03-07 19:05 ", 11),
        ("Sat Mar 07 19:05:00 +0800 2020", 11),
        ("Sat Mar 07 19:05:00 CST 2020", 11),
        ("Sat, 07 Mar 2020 19:05:00 +0800", 11),
        ("Sat, 07 Mar 2020 19:05:00 CST", 11),
        ("Sat, 07 Mar 2020 11:05:00 GMT", 11),
        ("Sat, 07 Mar 20 19:05:00 GMT+8", 11),
        ("2020-03-07 下午7:05", 11),
        ("2020年3月7日19时05分00秒", 11),
        ("Mar 7, 2020 7:05 PM", 11),
    ],
)
def test_times_in_the_forms_that_files_have(written: object, hour: int) -> None:
    (post,) = posts(jsonl({"text": "a", "published_at": written}))
    assert isinstance(post, Raw)
    assert post.published_at == datetime(2020, 3, 7, hour, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("昨天 08:10", "2026-04-30T08:10"),
        ("刚刚", "2026-05-01T20:00"),
        ("5分钟前", "2026-05-01T19:55"),
        ("下午3:10", "2026-05-01T15:10"),
        ("15时10分20秒", "2026-05-01T15:10:20"),
        ("23:50", "2026-04-30T23:50"),
        ("12-31 23:50", "2025-12-31T23:50"),
    ],
)
def test_times_without_a_date_count_back_from_now_and_say_so(written: str, at: str) -> None:
    (post,) = posts(jsonl({"text": "a", "published_at": written}))
    assert isinstance(post, Raw)
    assert post.published_at == datetime.fromisoformat(f"{at}+08:00")
    assert post.flags == ("relative",)


@pytest.mark.parametrize("nothing", [None, "", " ", 0])
def test_no_time_is_no_time(nothing: object) -> None:
    (post,) = posts(jsonl({"text": "a", "published_at": nothing}))
    assert isinstance(post, Raw)
    assert post.published_at is None


@pytest.mark.parametrize(
    "name", ["created_at", "createTime", "Publish_Time", "pubDate", "发布日期", "timestamp", "TIME"]
)
@pytest.mark.parametrize("reader", ["jsonl", "csv"])
def test_a_time_is_known_by_its_usual_names(name: str, reader: str) -> None:
    line = f"Text,{name}\na,2020-03-07 19:05\n".encode()
    (post,) = posts(jsonl({"Text": "a", name: "2020-03-07 19:05"})) if reader == "jsonl" else posts(line, read_csv)
    assert isinstance(post, Raw)
    assert post.published_at == datetime(2020, 3, 7, 11, 5, tzinfo=UTC)


def test_day_and_time_of_day_in_two_columns_are_one_time() -> None:
    for header in ("text,date,time", "text,日期,时间", "text,时间,日期"):
        row = "a,19:05,2020-03-07" if header.endswith("日期") else "a,2020-03-07,19:05"
        (post,) = posts(f"{header}\n{row}\n".encode(), read_csv)
        assert isinstance(post, Raw)
        assert post.published_at == datetime(2020, 3, 7, 11, 5, tzinfo=UTC)


@pytest.mark.parametrize("empty", [None, "", "  "])
def test_an_empty_field_never_overwrites_one_of_the_same_meaning(empty: object) -> None:
    at = "2020-03-07T19:05:00+08:00"
    (post,) = posts(jsonl({"text": "三号线停运", "published_at": at, "content": empty, "内容": empty, "time": empty}))
    assert isinstance(post, Raw)
    assert (post.text, post.published_at) == ("三号线停运", datetime(2020, 3, 7, 11, 5, tzinfo=UTC))


def test_a_spare_name_gives_way_to_the_documented_one() -> None:
    first, second = posts(jsonl({"text": "a", "message": "ok"}, {"message": "b"}))
    assert isinstance(first, Raw)
    assert isinstance(second, Raw)
    assert (first.text, second.text) == ("a", "b")


@pytest.mark.parametrize(
    ("shown", "count"),
    [
        (3, 3), ("3", 3), ("12.0", 12), (-1, 0), ("1,234", 1234), ("1，234", 1234), ("1.2万", 12_000),
        ("10万+", 100_000), ("1.5亿", 150_000_000), ("3.4k", 3400), ("2W", 20_000), ("1.2万次", 12_000),
        (None, None), ("", None),
    ],
)  # fmt: skip
def test_counts_as_people_show_them(shown: object, count: int | None) -> None:
    for line in ({"likes": shown}, {"counts": {"点赞": shown}}, {"attitudes_count": shown}):
        (post,) = posts(jsonl({"text": "a", **line}))
        assert isinstance(post, Raw)
        assert (post.counts.likes, post.flags) == (count, ())


@pytest.mark.parametrize("unreadable", ["many", "1e300", 1e300, 10**30, True, [3], {"a": 1}, "nan", "1.2.3", "赞"])
def test_a_count_that_cannot_be_read_costs_the_count_and_no_more(unreadable: object) -> None:
    (post,) = posts(jsonl({"text": "a", "likes": unreadable, "comments": 2}))
    assert isinstance(post, Raw)
    assert (post.counts.likes, post.counts.comments, post.flags) == (None, 2, ("bad_count",))


@given(st.integers(0, 10**12))
def test_a_count_is_read_back_however_it_is_written(count: int) -> None:
    found = posts(jsonl(*({"text": "a", "reads": form} for form in (count, str(count), f"{count:,}", f"{count}+"))))
    assert [post.counts.reads for post in found if isinstance(post, Raw)] == [count] * 4


def test_an_author_may_be_an_object_of_any_kind() -> None:
    found = posts(
        jsonl(
            {"text": "a", "user": {"screen_name": "n"}},
            {"text": "a", "author": {"name": "n", "followers": 3}},
            {"text": "a", "author": {"id": 7, "name": "n"}},
            {"text": "a", "author": {}},
            {"text": "a", "author": ["n"]},
        )
    )
    assert [post.author for post in found if isinstance(post, Raw)] == ["n", "n", "7", None, None]


@pytest.mark.parametrize("field", ["title", "url", "source", "kind"])
def test_a_side_field_of_another_type_costs_the_field_and_no_more(field: str) -> None:
    (post,) = posts(jsonl({"text": "a", field: ["x"]}))
    assert isinstance(post, Raw)
    assert post.flags == (f"bad_{field}",)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_table_is_read_however_a_program_saves_it(separator: str, encoding: str, packed: bool) -> None:
    rows = (("正文", "来源"), ("地铁停运了，请绕行", "微博"), ('他说"好"', "a"))
    out = io.StringIO()
    csv.writer(out, delimiter=separator).writerows(rows)
    data = out.getvalue().encode(encoding)
    for file in ("posts.csv", "posts.tsv", "posts.txt", "-"):
        found = list(read_posts(io.BytesIO(gzip.compress(data) if packed else data), file))
        assert [line.fields for line in found] == [{"text": text, "source": source} for text, source in rows[1:]]
        assert [line.number for line in found] == [2, 3]


def test_the_line_that_tells_excel_of_the_separator_is_passed_over() -> None:
    (line,) = read_csv(io.BytesIO(b"sep=;\ntext;likes\na,b;1\n"))
    assert (line.number, line.fields) == (3, {"text": "a,b", "likes": "1"})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("file", ["posts.jsonl", "posts.json", "-"])
@pytest.mark.parametrize("form", ["lines", "array", "indented"])
def test_json_is_read_however_a_program_saves_it(encoding: str, packed: bool, file: str, form: str) -> None:
    objects = [{"text": "地铁停运了"}, {"text": "第二条\u2028帖子"}]
    text = (
        jsonl(*objects).decode()
        if form == "lines"
        else json.dumps(objects, ensure_ascii=False, indent=form == "indented" or None)
    )
    data = text.encode(encoding)
    found = list(read_posts(io.BytesIO(gzip.compress(data) if packed else data), file))
    assert [(line.number, line.fields) for line in found] == list(enumerate(objects, 1))


def test_one_broken_character_does_not_make_a_file_chinese_of_another_encoding() -> None:
    data = "text\n地铁停运了，请大家绕行\n".encode() + "地铁".encode()[:-1] + b"\n" + "换乘公交\n".encode()
    found = [line.fields["text"] for line in read_csv(io.BytesIO(data)) if isinstance(line.fields, dict)]
    assert found == ["地铁停运了，请大家绕行", "地\ufffd", "换乘公交"]


def test_a_packed_file_that_breaks_off_gives_what_came_before_and_says_so() -> None:
    whole = b"".join(jsonl({"text": f"第{n}条 {n * 7919 % 10007}"}) for n in range(20_000))
    found = posts(gzip.compress(whole)[:-2000])
    assert found[-1] == "file.broken"
    assert len(found) > 10_000
    assert all(isinstance(one, Raw) for one in found[:-1])
    with pytest.raises(Refused, match="damaged"):
        posts(gzip.compress(whole)[:8])


def test_an_array_that_is_none_is_one_mistake() -> None:
    assert posts(b'[\n{"text": "a"},\n{"text": "b"}\n') == ["file.not_an_array"]


@pytest.mark.parametrize("beginning", [b"PK\x03\x04", b"%PDF-1.7", b"\xd0\xcf\x11\xe0\xa1\xb1"])
def test_a_file_that_is_no_text_is_refused_in_a_sentence(beginning: bytes) -> None:
    for file in ("posts.xlsx", "posts.csv", "posts.jsonl"):
        with pytest.raises(Refused, match="not a text file"):
            list(read_posts(io.BytesIO(beginning + b"\0" * 100), file))


def test_an_empty_table_is_refused_with_the_reason() -> None:
    with pytest.raises(Refused, match="first line"):
        posts(b"", read_csv)
    assert posts(b"") == []


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


def test_reading_posts_leaves_the_limit_of_other_tables_as_it_was() -> None:
    before = csv.field_size_limit()
    (line,) = read_csv(io.BytesIO(b"text\n" + b"a" * (before + 1) + b"\n"))
    assert isinstance(line.fields, dict)
    assert csv.field_size_limit() == before
