"""Texts as people write them become the plain text that the heads read."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tingchao.models.normalise import LONGEST, normalise, plain_batch


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("电话：１３８００１３８０００", "电话:0000000"),
        ("ＡＢＣ，Hello", "abc,hello"),
        ("發生爆炸，請注意", "发生爆炸,请注意"),
        ("诈*骗", "诈骗"),
        ("诈.骗 短-信", "诈骗 短信"),
        ("诈\u200b骗", "诈骗"),
        ("诈̶骗̶", "诈骗"),
        ("你 被 骗 了", "你被骗了"),
        ("火灾 现场", "火灾 现场"),
        ("哈哈哈哈哈哈", "哈哈"),
        ("1000人", "0000人"),
        ("119", "119"),
        ("好开心[泪][泪]", "好开心[泪][泪]"),
        ("{%#热搜#%}来了", "#热搜#来了"),
        ("见 https://t.cn/AbC12?x=1 吧", "见 url 吧"),
        ("转自@u_9132ef:真的", "转自@:真的"),
        ("<p>你&amp;我<br/>他</p>", "你&我 他"),
        ("<script>alert(1)</script>着火", "着火"),
        ("打<PHONE>", "打 phone"),
        ("3<5 而且 6>4", "3<5 而且 6>4"),
        ("℃和㎡", "°c和m2"),
        ("等一下…", "等一下…"),
        ("😀👍🏽", "😀👍"),
        ("火\x00灾", "火 灾"),
        ("停\u3164电\uffa0了\u2800吗", "停电了吗"),
        ("地★铁★停★运", "地铁停运"),
        ("地🔥铁🔥停🔥运", "地铁停运"),
        ("真好🔥真热🔥", "真好🔥真热🔥"),
        ("東、西、南", "东、西、南"),
        ("説話", "说话"),
        ("停@电三天了没人管，快来", "停电三天了没人管,快来"),
        ("@王小明停电三天了没人管", "王小明停电三天了没人管"),
        ("转发@王小明：停电了", "转发@:停电了"),
        ("@海城日报 停电", "@ 停电"),
        ("İİİ<script>var a=1</script>着火", "i\u0307i\u0307i\u0307 着火"),
        ("a\nb", "a b"),
        ("  空 白  ", "空 白"),
        ("\ud83d火", "火"),
        ("", ""),
    ],
)
def test_each_way_of_writing_has_one_plain_form(text: str, plain: str):
    assert normalise(text) == plain


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=8))
def test_a_batch_gives_each_text_what_it_gives_alone(texts: list[str]):
    plain = plain_batch(texts)
    assert plain.texts == [normalise(text) for text in texts]
    assert int((plain.codes == 10).sum()) == len(texts)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_case_and_width_make_no_difference(text: str):
    wide = "".join(chr(ord(char) + 0xFEE0) if "A" <= char <= "Z" else char for char in text)
    assert normalise(wide) == normalise(text)


@pytest.mark.parametrize("piece", ["<script", "诈*", "<", "&#", "@", "https://", "[", "哈", " ", "{%#", "ﷺ"])
def test_a_megabyte_of_one_trick_is_cut_and_read(piece: str):
    assert len(normalise(piece * (1_000_000 // len(piece)))) <= LONGEST
