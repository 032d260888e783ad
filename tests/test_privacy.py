"""Personal data never gets past mask, and what is no personal data stays readable."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tingchao.pipeline.privacy import identity_holds, mask, mask_url

# Numbers here are invented: 138-1234-5678 is the example of telephone books, 11010519491231002X the one of GB 11643.
PHONES = [
    "13812345678",
    "138 1234 5678",
    "138-1234-5678",
    "138.1234.5678",
    "138·1234·5678",
    "138/1234/5678",
    "138_1234_5678",
    "138—1234—5678",
    "138–1234–5678",
    "138 - 1234 - 5678",
    "138\u200b1234\u200b5678",
    "138\u30001234\u30005678",
    "138\n1234\n5678",
    "138 123 45678",
    "1381234 5678",
    "138123-45678",
    "1 3 8 1 2 3 4 5 6 7 8",
    "1-3-8-1-2-3-4-5-6-7-8",
    "１３８１２３４５６７８",
    "１３８－１２３４－５６７８",
    "1３81２34567８",
    "𝟏𝟑𝟖𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖",
    "+8613812345678",
    "+86 138 1234 5678",
    "+86-138-1234-5678",
    "0086 13812345678",
    "8613812345678",
    "(+86)13812345678",
    "＋８６ 13812345678",
    "19912345678",
    "010-62345678",
    "010 6234 5678",
    "01062345678",
    "(010)62345678",
    "（0571）88885678",
    "0571-8888567",
    "057188885678",
    "0755—26881234",
    "+86-10-62345678",
    "+86 (0755) 2688 1234",
    "13-812-345-678",
    "13 8 1234 5678",
    "1381 234 5678",
    "138-12-345-678",
    "138(1234)5678",
    "138~1234~5678",
    "138,1234,5678",
    "+86 (138) 1234-5678",
    "+852 9123 4567",
    "+886 912 345 678",
    "+1 (415) 555-0132",
]
ADDRESSES = [
    "zhang.san@example.com",
    "a@b.cn",
    "zhang_san+news@mail.example.com.cn",
    "1234567890@qq.com",
    "13812345678@163.com",
    "zhang @ example.com",
    "ｚｈａｎｇ＠ｅｘａｍｐｌｅ．ｃｏｍ",
    "ZHANG@EXAMPLE.COM",
    "zs@163。com",
]
IDENTITIES = [
    "11010519491231002X",
    "11010519491231002x",
    "110105 19491231 002X",
    "110105-19491231-002X",
    "1101 0519 4912 3100 2X",
    "１１０１０５１９４９１２３１００２Ｘ",
    "440524188001010014",
    "130503670401001",  # 15 digits, until 1999
]
PLATES = [
    "京A12345",
    "京A·12345",
    "京A 12345",
    "京A-12345",
    "沪a1b2c3",
    "粤B8888学",
    "粤Z1234港",
    "川AD12345",  # new energy, small cars
    "京AF12345",
    "京A12345D",  # new energy, large cars
    "苏ＥＡ１２３４",
    "沪 A12345",
    "沪 A·12345",
    "沪A 1 2 3 4 5",
    "滬A12345",
    "粵B12345",
    "WJ京12345",
    "军A12345",
]
NAMES = [
    "@zhang.san",
    "@Zhang San",
    "@\u200b张三",
    "@👑张三",
    "﹫张三",
    "@张三",
    "@zhang_san",
    "@张三-李四",
    "@用户1234567890",
    "＠张三",
    "@" + "长" * 30,
    "@三 ",
    "@张·三",
]


@pytest.mark.parametrize("phone", PHONES)
def test_phone_numbers_are_masked(phone: str) -> None:
    masked = mask(f"请拨打{phone}联系")
    assert masked.startswith("请拨打")
    assert masked.endswith("联系")
    assert "[手机号]" in masked or "[电话]" in masked
    assert not any(character.isdecimal() for character in masked)


@pytest.mark.parametrize("address", ADDRESSES)
def test_mail_addresses_are_masked(address: str) -> None:
    assert mask(f"邮箱{address}，欢迎") == "邮箱[邮箱]，欢迎"


@pytest.mark.parametrize("identity", IDENTITIES)
def test_identity_numbers_are_masked(identity: str) -> None:
    assert mask(f"身份证{identity}已挂失") == "身份证[身份证号]已挂失"
    assert mask(f"ID:{identity}") == "ID:[身份证号]"


@pytest.mark.parametrize("plate", PLATES)
def test_plates_are_masked(plate: str) -> None:
    assert mask(f"肇事车{plate}逃逸") == "肇事车[车牌]逃逸"


@pytest.mark.parametrize("name", NAMES)
def test_names_behind_an_at_are_masked(name: str) -> None:
    assert mask(f"感谢{name}：说得好") == f"感谢@某人{' ' if name.endswith(' ') else ''}：说得好"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("VX13812345678QQ同号", "VX[手机号]QQ同号"),
        ("tel.13812345678", "tel.[手机号]"),
        ("13812345678/13912345678", "[手机号]/[手机号]"),
        ("第1次打13812345678没人接，3次", "第1次打[手机号]没人接，3次"),
        ("3 11010519491231002X", "3 [身份证号]"),
        ("tel(010)62345678", "tel[电话]"),
        ("@" + "甲" * 29 + "013812345678", "@某人 [手机号]"),
        ("11010519491231002X13812345678", "[身份证号][手机号]"),
        ("ID11010519491231002X号", "ID[身份证号]号"),
        ("//@张三:回复@李四:转发微博", "//@某人:回复@某人:转发微博"),
        ("张三@example.com", "[邮箱]"),
        (
            "见http://weibo.com/n/张三3，[@李四](http://weibo.com/n/李四)",
            "见http://weibo.com/n/某人，[@某人](http://weibo.com/n/某人)",
        ),
        ("地铁停运 @北京地铁 13812345678 a@b.cn 京A12345", "地铁停运 @某人 [手机号] [邮箱] [车牌]"),
    ],
)
def test_in_its_surroundings(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "订单号202203211422000123",
        "订单号：1234567890123456789",
        "运单SF1234567890123",
        "售价1,388,888元，定金13800元",
        "共13,812,345,678元",
        "双色球 13 15 18 22 25 30",
        "航线 13 - 15 日停运",
        "13.8亿人，增长0.13812345678",
        "圆周率3.13812345678",
        "2022-03-21 14:22:05",
        "2022年3月21日14时22分",
        "20220321142205",
        "1581234567890",  # milliseconds since 1970
        "1581234567",
        "请拨打12345热线、110、119、120、12315、95588、10086",
        "客服400-123-4567",
        "客服4001234567",
        "客服800-820-8820",
        "比分3:2，6-4 7-5",
        "1 2 3 4 5 6 7 8 9 10 11",
        "110105194912310021",  # the check character is wrong: a number of something else
        "110105194913310024",  # no such month
        "12345678901234567890",
        "ISBN 978-7-302-51234-5",
        "192.168.100.200",
        "MU5735航班，波音737-800",
        "iPhone 13 Pro 256GB",
        "新GALAXY手机，新BRAND上市",
        "京A股份有限公司",
        "邮编100000，北纬39.9042",
        "A@",
        "@",
        "5 @ 10",
        "微博 https://weibo.com/1642511402/LkJ2jw8Xf",
        "见 https://news.example.com.cn/c/2020-01-02/doc-iihnzahk1234567.shtml。",
        "https://example.com/a/20220321/1234567890123.html",
        "地铁3号线停运12分钟，影响1.2万人",
        "",
    ],
)
def test_what_is_no_personal_data_stays(text: str) -> None:
    assert mask(text) == text


def test_identity_numbers_hold_by_their_date_and_check_character() -> None:
    assert identity_holds("11010519491231002X")
    assert identity_holds("440524188001010014")
    assert not any(identity_holds(f"11010519491231002{last}") for last in "0123456789")
    assert not identity_holds("11010519491231002")
    assert not identity_holds("")


HAN = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), max_size=12)
DIGIT = st.sampled_from("0123456789")
SIGN = st.sampled_from(["", "-", " ", ".", "·", "—", "－", "/", "\u200b", " - "])
WIDE = str.maketrans("0123456789", "０１２３４５６７８９")


def some(count: int) -> st.SearchStrategy[str]:
    return st.lists(DIGIT, min_size=count, max_size=count).map("".join)


@st.composite
def phones(draw: st.DrawFn) -> str:
    groups = draw(st.sampled_from([(1, 4, 4), (1, 3, 5)]))
    number = "1" + draw(st.sampled_from("3456789")) + draw(SIGN).join(draw(some(count)) for count in groups)
    return draw(st.sampled_from(["", "+86", "86-", "0086 "])) + (
        number.translate(WIDE) if draw(st.booleans()) else number
    )


@st.composite
def identities(draw: st.DrawFn) -> str:
    area = draw(st.sampled_from("12345678")) + draw(some(5))
    born = draw(st.dates(min_value=date(1900, 1, 1), max_value=date(2029, 12, 31)))
    seventeen = f"{area}{born:%Y%m%d}{draw(some(3))}"
    last = next(character for character in "0123456789X" if identity_holds(seventeen + character))
    return draw(SIGN.filter(lambda sign: len(sign) < 2 and sign not in "/\u200b")).join(
        [area, f"{born:%Y%m%d}", seventeen[14:] + last]
    )


@st.composite
def addresses(draw: st.DrawFn) -> str:
    letters = st.text(st.sampled_from("abcXYZ019"), min_size=1, max_size=8)
    name = draw(letters) + draw(st.sampled_from(["", ".", "_", "-"])) + draw(letters)
    return f"{name}@{draw(letters)}.{draw(st.sampled_from(['com', 'cn', 'com.cn', 'org']))}"


@st.composite
def plates(draw: st.DrawFn) -> str:
    serial = st.sampled_from("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789")
    kind = draw(st.sampled_from(["usual", "small", "large"]))
    if kind == "usual":
        rest = draw(st.permutations([draw(serial), draw(serial), *draw(some(3))]).map("".join))
    elif kind == "small":
        rest = draw(st.sampled_from("DABCEFGHJK")) + draw(serial) + draw(some(4))
    else:
        rest = draw(some(5)) + draw(st.sampled_from("DF"))
    letter = draw(st.sampled_from("ABCDEFGHJKLMNPQRSTUVWXYZ"))
    return draw(st.sampled_from("京沪粤川新云桂")) + letter + draw(st.sampled_from(["", "·", " "])) + rest


@given(before=HAN, personal=st.one_of(phones(), identities(), addresses(), plates()), after=HAN)
def test_what_is_put_anywhere_into_han_text_never_survives(before: str, personal: str, after: str) -> None:
    masked = mask(before + personal + after)
    assert masked.startswith(before)
    assert masked.endswith(after)
    mark = masked[len(before) : len(masked) - len(after)]
    assert mark in {"[手机号]", "[身份证号]", "[邮箱]", "[车牌]"}


MIXED = st.lists(
    st.one_of(
        phones(), identities(), addresses(), plates(), HAN, st.sampled_from("@ -:/.1aA京\n[]"), st.text(max_size=4)
    )
).map("".join)


@given(text=MIXED)
def test_masking_twice_changes_nothing(text: str) -> None:
    once = mask(text)
    assert mask(once) == once


def test_a_name_without_end_is_cut_at_the_length_of_a_name() -> None:
    text = "@" + "甲" * 70
    assert mask(text) == "@某人 " + "甲" * 40
    assert mask(mask(text)) == mask(text)


@pytest.mark.timeout(60)  # seconds of a slow machine; one step that looks back over all of it would take hours
@pytest.mark.parametrize(
    "piece",
    ["地", "a", "1", "1 ", "a.", "@a", "a@a.", "京A1", "010-", "+86 ", "138 1234 ", "1101051949", "１"],
)
def test_one_megabyte_of_anything_is_masked_in_linear_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    assert mask(text)


def test_one_megabyte_of_personal_data_is_masked_to_the_last() -> None:
    text = "打13812345678，证11010519491231002X，信a.b@example.com，车京A12345。" * 17_000
    assert mask(text) == "打[手机号]，证[身份证号]，信[邮箱]，车[车牌]。" * 17_000


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://a.example/13812345678?id=1", "https://a.example/13812345678?id=1"),
        ("https://a.example/?tel=13812345678&x=1", "https://a.example/?tel=%5B%E6%89%8B%E6%9C%BA%E5%8F%B7%5D&x=1"),
        ("https://a.example/?13812345678", "https://a.example/?%5B%E6%89%8B%E6%9C%BA%E5%8F%B7%5D="),
        ("https://a.example/?m=a%40b.cn", "https://a.example/?m=%5B%E9%82%AE%E7%AE%B1%5D"),
        ("https://a.example/#tel=13812345678", "https://a.example/#tel=[手机号]"),
        ("https://zhang:secret@a.example:8080/x", "https://a.example:8080/x"),
        ("https://a.example/?q=%B5%D8%CC%FA&e=1", "https://a.example/?q=%B5%D8%CC%FA&e=1"),
        ("https://a.example/?q=%B5%D8%CC%FA&m=a@b.cn", "https://a.example/?q=%B5%D8%CC%FA&m=%5B%E9%82%AE%E7%AE%B1%5D"),
        ("https://a.example/?a=b=c&&d", "https://a.example/?a=b=c&&d"),
        ("http://[broken?x=13812345678", "http://[broken?x=[手机号]"),
        ("", ""),
    ],
)
def test_urls_are_masked_and_still_lead_to_their_article(url: str, masked: str) -> None:
    assert mask_url(url) == masked


SOMEBODY, PHONE = "@%E6%9F%90%E4%BA%BA", "%5B%E6%89%8B%E6%9C%BA%E5%8F%B7%5D"
MAIL, IDENTITY = "%5B%E9%82%AE%E7%AE%B1%5D", "%5B%E8%BA%AB%E4%BB%BD%E8%AF%81%E5%8F%B7%5D"


@pytest.mark.parametrize(
    ("path", "masked"),
    [
        ("/@zhangsan/", f"/{SOMEBODY}/"),
        ("/%40zhangsan/post/12?p=2", f"/{SOMEBODY}/post/12?p=2"),
        ("/@zhang@m.example/1", f"/{SOMEBODY}/1"),
        ("/@张三", f"/{SOMEBODY}"),
        ("/u/a.b@example.com/x", f"/u/{MAIL}/x"),
        ("/a%40example.com", f"/{MAIL}"),
        ("/id/11010519491231002X", f"/id/{IDENTITY}"),
        ("/id/11010519491231002x/", f"/id/{IDENTITY}/"),
        *((f"/{word}/13812345678/a", f"/{word}/{PHONE}/a") for word in ("u", "user", "Users", "people", "profile")),
        *((f"/{word}/13812345678", f"/{word}/{PHONE}") for word in ("tel", "phone", "member")),
        ("/tel/+8613812345678", f"/tel/{PHONE}"),
        ("/n/张三3", "/n/%E6%9F%90%E4%BA%BA"),
        ("/people/%E5%BC%A0%E4%B8%89/posts", "/people/%E6%9F%90%E4%BA%BA/posts"),
    ],
)
def test_a_segment_of_a_path_that_is_personal_data_is_masked(path: str, masked: str) -> None:
    assert mask_url("https://a.example" + path) == "https://a.example" + masked
    assert mask_url("https://a.example" + masked) == "https://a.example" + masked


@pytest.mark.parametrize(
    "path",
    [
        "/13812345678",
        "/a/13812345678",
        "/a/13812345678.html",
        "/u/news/13812345678",
        "/user/12812345678",
        "/user/138123456789",
        "/u/1381234567",
        "/a/110105194912310021",  # 18 digits with a date, and another check character
        "/a/202603011234567890",
        "/img/logo@2x.png",
        "/a/@",
        "/a/2026-03-01/c_1127123456.htm",
        "/%B5%D8%CC%FA//x;y=1",
    ],
)
def test_numbers_of_articles_stay(path: str) -> None:
    assert mask_url("https://a.example" + path) == "https://a.example" + path
