"""Posts of one sentence and short articles, in layouts of several kinds of software; and what is never their text."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tingchao.crawlers.article import Article, page_lines, read_article
from tingchao.crawlers.blocks import Block
from tingchao.crawlers.frame import Frame
from tingchao.crawlers.lines import is_about, is_dateline, worth
from tingchao.crawlers.walls import is_login_wall

FETCHED = datetime(2025, 1, 1, tzinfo=UTC)
TITLE = "小区又停水了"
HEAD = (
    '<div id="hd"><a href="/">首页</a> <a href="/bbs/">论坛</a> <a href="/login">登录</a> <a href="/reg">注册</a></div>'
)
LOGIN = (
    '<form><input type="text"><input type="password"> <span>您需要登录后才可以回帖</span> <a href="/l">登录</a></form>'
)
MENU = "<tr><td>关于我们 | 联系我们 | 网站地图 | 版权声明</td></tr>"
FOOTS = [
    '<div id="ft">Powered by 潮声论坛 | 本站为演示之用 | <a href="#">站点统计</a> | <a href="#">举报</a></div>',
    '<div class="wp">Powered by <b>Discuz!</b> X3.4 © 2001-2020 某某团队，保留一切权利，联系电话见首页。</div>',
    "<p>版权所有：澜江市某某传媒有限公司，未经书面授权，任何人不得转载。</p><p>澜ICP备12345678号-1</p>",
    f"<table>{MENU}<tr><td>Copyright 2020 某某网 All Rights Reserved</td></tr></table>",
]


def read(markup: str, frame: Frame | None = None) -> Article:
    return read_article(markup.encode(), "https://bbs.example.cn/t/1.html", FETCHED, frame=frame)


def whole(body: str, foot: str = FOOTS[0], title: str = TITLE) -> str:
    return f"<html><head><title>{title} - 潮声论坛</title></head><body>{HEAD}{body}{foot}</body></html>"


def discuz(said: str, reply: str = "") -> str:
    def post(number: int, name: str, text: str) -> str:
        return (
            f'<div id="post_{number}"><table class="plhin"><tr><td class="pls">'
            f'<div class="authi"><a href="#">{name}</a>'
            f"</div><p><em>注册会员</em></p><dl><dt>积分</dt><dd>37</dd></dl></td><td class='plc'><div class='pi'>"
            f'<strong><a href="#">楼主</a></strong><em>发表于 2021-3-4 22:05:33</em> | <a href="#">只看该作者</a></div>'
            f'<div class="pct"><table><tr><td class="t_f" id="postmessage_{number}">{text}</td></tr></table></div>'
            f'<div class="po"><a href="#">回复</a> <a href="#">举报</a></div></td></tr></table></div>'
        )

    replies = post(2, "早班车的风", reply) if reply else ""
    return f'<h1 class="ts"><span id="thread_subject">{TITLE}</span></h1>{post(1, "城东业主", said)}{replies}{LOGIN}'


def columns(said: str) -> str:
    return (
        f'<h1 class="subject">{TITLE}</h1><table class="post"><tr><td class="author"><a href="#">城东业主</a></td>'
        f'<td class="content"><div class="info">发表于 <em>5分钟前</em></div>'
        f'<div class="message">{said}</div></td></tr>'
        '</table><div class="tools"><a href="#">回复</a> <a href="#">收藏</a></div>'
    )


def topic(said: str) -> str:
    return (
        f'<div class="box"><div class="header"><h1>{TITLE}</h1><small>城东业主 · 3小时前 · 120 次点击</small></div>'
        f'<div class="cell"><div class="topic_content"><p>{said}</p></div></div></div>'
        '<div class="box replies"><div class="cell">2 条回复</div></div>'
    )


def unnamed(said: str) -> str:
    return (
        f"<h2>{TITLE}</h2><div>城东业主</div><div>1楼</div><div>2021-03-04 22:05</div><div>{said}</div>"
        '<div><a href="#">回复</a> <a href="#">分享</a></div>'
    )


LAYOUTS = {"discuz": discuz, "columns": columns, "topic": topic, "unnamed": unnamed}
SENTENCES = [
    "驳回。",
    "小雨不算雨。",
    "停水三天了，有人管吗？",
    "今天终于来水了，有点黄，先放一会儿。",
    "客服电话一直占线，举报电话也没人接，这家店没有营业执照！",
    "2021年3月4日晚上十点，小区停水，物业没有通知任何人。",
]


@pytest.mark.parametrize("foot", range(len(FOOTS)))
@pytest.mark.parametrize("said", SENTENCES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_post_of_one_sentence_is_found(layout: str, said: str, foot: int) -> None:
    article = read(whole(LAYOUTS[layout](said), FOOTS[foot]))
    assert (article.title, article.text) == (TITLE, said)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_post_is_found_beside_others_of_its_site(layout: str) -> None:
    frame = Frame()
    for number, said in enumerate(("水压也低。", "三楼没有水。", "打过电话了。")):
        frame.learn(page_lines(whole(LAYOUTS[layout](said)).encode()), f"{number}")
    assert read(whole(LAYOUTS[layout]("驳回。")), frame).text == "驳回。"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_post_of_a_picture_alone_has_no_text_and_names_nobody(layout: str) -> None:
    assert read(whole(LAYOUTS[layout]('<img src="1.jpg">'))).text == ""


def test_a_post_that_speaks_like_a_footer_is_a_post() -> None:
    said = "转载请注明出处，未经许可不得转载。"
    assert read(whole(columns(said))).text == said


def test_a_long_reply_is_not_the_opening_post() -> None:
    reply = (
        "我们三号楼也停了，物业说水泵坏了要等配件，已经等了两天，问了几次也没个期限，太不方便了，大家一起去问问吧。" * 2
    )
    assert read(whole(discuz("如题，停水了。", reply))).text == "如题，停水了。"


@pytest.mark.parametrize("layout", ["discuz", "columns", "topic"])
def test_a_short_post_above_a_login_form_is_no_wall(layout: str) -> None:
    assert is_login_wall(whole(LAYOUTS[layout]("停水三天了。") + LOGIN).encode()) is None


def test_a_thread_that_asks_to_log_in_is_a_wall() -> None:
    assert is_login_wall(whole(columns("抱歉，您需要登录后才可以查看本帖。") + LOGIN).encode())


@pytest.mark.parametrize("foot", FOOTS)
@pytest.mark.parametrize("head", [f"<h1>{TITLE}</h1>", f'<h1>{TITLE}</h1><img src="a.jpg">', ""])
def test_a_footer_is_never_the_text(foot: str, head: str) -> None:
    assert read(whole(head, foot)).text == ""


NEWS = ["澜江市今日更新了公交线路图，新增夜间班次十二条，覆盖全部火车站和医院。", "负责人说，首日客流不到一成。"]


@pytest.mark.parametrize(
    "body",
    [
        "<h1>{t}</h1>{p}{related}",
        "<h1>{t}</h1><div class='info'>2024年11月22日 08:05　来源：澜江新闻网</div>{p}{related}",
        "<article><h1>{t}</h1><div>11-22　责任编辑：云小编</div>{p}</article>{related}",
        "<article><h1>{t}</h1><div>来源：澜江新闻网　责任编辑：云小编</div>{p}</article>{related}",
        "<div><h1>{t}</h1><p>澜江新闻网 2024-11-22 08:05 编辑：云小编</p>{p}<p>编辑：云小编 审核：老潮</p></div>",
        "<h1>{t}</h1><p>澜江晚报2024-11-22 14:30</p>{p}<p>（责任编辑：云小编）</p>{related}",
        "<table><tr><td><b>{t}</b></td></tr><tr><td>发布时间：2024-11-22 08:05　字体：大 中 小</td></tr>"  # noqa: ISC004
        "<tr><td>{lines}</td></tr></table>{related}",
    ],
)
@pytest.mark.parametrize("foot", range(len(FOOTS)))
def test_the_last_paragraph_stays_and_lines_about_the_article_go(body: str, foot: int) -> None:
    title = "澜江公交线路图更新，新增夜间班次"
    related = '<div class="related"><h3>相关阅读</h3><ul><li><a href="/1">城西大桥下月通车</a></li></ul></div>'
    written = body.format(
        t=title, p="".join(f"<p>{line}</p>" for line in NEWS), lines="<br><br>　　".join(NEWS), related=related
    )
    article = read(whole(written, FOOTS[foot], title))
    assert article.text.split("\n") == NEWS


@pytest.mark.parametrize(
    "line",
    [
        "11-22　责任编辑：云小编",
        "来源：澜江新闻网　责任编辑：云小编",
        "2024年11月22日 08:05 来源：澜江新闻网 字体：大 中 小",
        "澜江新闻网 2024-11-22 08:05 编辑：云小编",
        "编辑：云小编 审核：老潮 阅读：120",
    ],
)
def test_lines_about_the_article_are_told(line: str) -> None:
    assert is_about(line)


@pytest.mark.parametrize(
    "line",
    [
        "记者：您怎么看这件事？",
        "11月22日，责任编辑：云小编在会上说，要写短文章。",
        "停水时间：22日8时至12时，范围：三号楼、四号楼和幼儿园",
    ],
)
def test_sentences_are_no_lines_about_the_article(line: str) -> None:
    assert not is_about(line)
    assert not is_dateline(line)


def block(text: str) -> Block:
    stops = sum(text.count(mark) for mark in "，。！？；")
    return Block(text, 0, len("".join(text.split())), 0, stops, 0, named=False, caption=False, hidden=False, links=0)


@pytest.mark.parametrize("text", SENTENCES[2:])
def test_sentences_with_words_of_footers_and_days_are_text(text: str) -> None:
    assert worth(block(text)) > 0


@pytest.mark.parametrize(
    "text",
    [
        "Powered by Discuz! X3.4",
        "关于我们 | 联系我们 | 网站地图",
        "客服电话：400-000-0000",
        "版权所有 澜江新闻网",
        "澜ICP备12345678号",
    ],
)
def test_lines_of_footers_cost(text: str) -> None:
    assert worth(block(text)) < 0
