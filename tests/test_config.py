"""Settings: what is right becomes typed values, a mistake is named by file and key, with what was expected."""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from tingchao.config import language
from tingchao.config.load import DEFAULTS, ConfigError, duration, read
from tingchao.config.routes import RoutesFile
from tingchao.config.rules import RulesFile
from tingchao.config.settings import MainFile, Settings, Terminal, Webhook, load, unreadable_files
from tingchao.config.sources import SourcesFile
from tingchao.config.topics import Near, Topic, TopicsFile

ROOT = Path(__file__).resolve().parent.parent
SOURCE = '[[source]]\nname = "s1"\nkind = "feed"\nurl = "https://a.example/rss"\ntopics = ["metro"]\n'
TOPIC = '[[topic]]\nname = "metro"\ntitle = "地铁"\nany = ["地铁"]\n'
RULE = '[[rule]]\nname = "many"\nkind = "count"\nthreshold = 5\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small configuration that is right."""
    write(tmp_path, "sources", SOURCE)
    write(tmp_path, "topics", TOPIC)
    write(tmp_path, "rules", RULE)
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")


def mistakes(folder: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder)
    return [line.removeprefix(f"{folder}/") for line in caught.value.mistakes]


def test_files_become_values(folder: Path) -> None:
    write(folder, "tingchao", 'language = "en"\n[crawl]\ndelay = "0.25s"\n')
    settings = load(folder)
    assert isinstance(settings, Settings)
    assert settings.main.language == "en"
    assert settings.main.crawl.delay == timedelta(milliseconds=250)
    assert settings.sources[0].every == timedelta(minutes=15)
    assert settings.topics == (Topic(name="metro", title="地铁", any=["地铁"]),)
    assert settings.rules[0].window == timedelta(hours=1)


def test_a_file_that_is_not_there_is_the_one_that_ships(tmp_path: Path) -> None:
    assert load(tmp_path) == load(None)
    assert load(None).main.notify == [Terminal(kind="terminal")]


def test_a_directory_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such directory"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("tingchao", "languge = 'zh'", "tingchao.toml: languge: unknown key; did you mean 'language'?"),
        ("tingchao", "[crawl]\nzzz = 1", "tingchao.toml: crawl.zzz: unknown key; expected one of contact, delay,"),
        ("tingchao", "[crawl]\nrobots = false", "tingchao.toml: crawl.robots: unknown key"),
        ("tingchao", "language = 'fr'", "tingchao.toml: language: expected 'zh' or 'en'; got 'fr'"),
        ("tingchao", "[page]\nport = 'abc'", "tingchao.toml: page.port: expected a whole number; got 'abc'"),
        ("tingchao", "[page]\nport = 70000", "tingchao.toml: page.port: expected at most 65535"),
        ("tingchao", "[page]\nhost = '0.0.0.0'", "page: host '0.0.0.0' can be reached by others: set token_file"),
        ("tingchao", "[crawl]\ndelay = 5", "tingchao.toml: crawl.delay: expected a number with a unit"),
        ("tingchao", "[crawl]\ndelay = '5 min'", "tingchao.toml: crawl.delay: expected a number with a unit"),
        ("tingchao", "[[notify]]\nkind = 'pigeon'\nname = 'p'", "notify[1] (p).kind: expected 'webhook', 'mail'"),
        ("tingchao", "[[notify]]\nkind = 'webhook'\nname = 'desk'", "notify[1] (desk).webhook.url: missing"),
        ("tingchao", "[[notify]]\nkind='webhook'\nname='d'\nurl='http://a/'\nminlevel=2", "did you mean 'min_level'?"),
        ("tingchao", "[[notify]]\nkind='terminal'\n" * 2, "notify: two channels are called terminal"),
        ("tingchao", "= broken", "tingchao.toml: Invalid"),
        ("sources", SOURCE.replace('"feed"', "7"), "source[1] (s1).kind: expected text in quotation marks; got 7"),
        ("sources", SOURCE.replace("topics", "topic"), "sources.toml: source[1] (s1).topics: missing"),
        ("sources", SOURCE.replace('["metro"]', "[]"), "source[1] (s1).topics: expected at least 1 in the list"),
        ("sources", SOURCE.replace('["metro"]', '["metr"]'), "source (s1).topics: no topic 'metr' in topics"),
        ("sources", SOURCE.replace("https", "ftp"), "sources.toml: source[1] (s1).url"),
        ("sources", SOURCE + 'every = "0s"', "sources.toml: source[1] (s1).every: expected at least '1s'"),
        ("sources", SOURCE + 'articles = "(a"', "sources.toml: source[1] (s1).articles: not a regular expression"),
        ("sources", SOURCE.replace("s1", "S 1"), "sources.toml: source[1] (S 1).name"),
        ("sources", SOURCE * 2, "two sources are called s1"),
        ("topics", TOPIC.replace('any = ["地铁"]', ""), "topics.toml: topic[1] (metro): nothing to look for"),
        ("topics", TOPIC.replace('["地铁"]', '["地铁", " "]'), "topics.toml: topic[1] (metro).any[2]"),
        ("topics", TOPIC + 'none = [""]', "topics.toml: topic[1] (metro).none[1]"),
        ("topics", TOPIC + 'near = [{ words = ["一"] }]', "(metro).near[1].words: expected at least 2 in"),
        ("topics", TOPIC * 2, "two topics are called metro"),
        ("rules", RULE.replace("threshold = 5", ""), "rules.toml: rule[1] (many): the rule can never fire"),
        ("rules", RULE.replace("= 5", "= 0"), "rules.toml: rule[1] (many).threshold"),
        ("rules", RULE.replace("= 5", "= nan"), "rules.toml: rule[1] (many).threshold"),
        ("rules", RULE.replace('"count"', '"negative_share"'), "rule[1] (many): threshold: a share is at most 1"),
        ("rules", RULE.replace('"count"', '"signal"'), "rule[1] (many): signal: expected one of safety"),
        ("rules", RULE + 'signal = "leak"', "rules.toml: rule[1] (many): signal: only for kind = 'signal'"),
        ("rules", RULE + 'window = "0s"', "rules.toml: rule[1] (many): window: expected more than '0s'"),
        ("rules", RULE + 'topics = ["metr"]', "rules.toml: rule (many).topics: no topic 'metr'"),
        ("rules", RULE + "level = 4", "rules.toml: rule[1] (many).level: expected 1, 2 or 3; got 4"),
        ("rules", RULE * 2, "two rules are called many"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_file_and_key(folder: Path, name: str, text: str, said: str) -> None:
    write(folder, name, text)
    assert any(said in mistake for mistake in mistakes(folder))


@pytest.mark.parametrize(
    ("name", "text", "said", "chinese"),
    [
        ("rules", RULE.replace("5", '"3"'), "(many).threshold: expected a number; got '3'", "应为数字；现在是 '3'"),
        ("rules", RULE.replace("5", "true"), "(many).threshold: expected a number; got true", "现在是 true"),
        ("rules", RULE.replace("5", "inf"), "(many).threshold: expected a finite number; got inf", "应为有限的数"),
        ("rules", RULE + "level = true", "(many).level: expected a whole number; got true", "应为整数"),
        ("rules", RULE + "min_posts = 3.0", "(many).min_posts: expected a whole number; got 3.0", "应为整数"),
        ("rules", RULE + "alert = 'no'", "(many).alert: expected true or false; got 'no'", "应为 true 或 false"),
        ("rules", RULE + "for = '99999999d'", "(many).for: longer than 100 years", "最多 100 年"),
        ("sources", SOURCE + "limit = true", "(s1).limit: expected a whole number; got true", "应为整数"),
        ("sources", SOURCE + "title = 2026-01-01", "(s1).title: expected text in quotation marks; got 2026", "文字"),
        ("sources", SOURCE + "encoding = 'nosuch-8'", "(s1).encoding: no such charset", "没有这种编码"),
        ("sources", SOURCE + "encoding = 'hex'", "(s1).encoding: no such charset", "没有这种编码"),
        ("sources", SOURCE + "options = { full_text = 'yes' }", "options.full_text: expected true or", "应为 true"),
        ("sources", SOURCE + "options = { ful = 1 }", "(s1).options.ful: no such option", "应为 full_text 之一"),
        ("sources", "[source]\nname = 's1'", "source: expected two brackets on each side", "应写两层方括号"),
        ("topics", TOPIC.replace('"地铁"]', '"，。"]'), "(metro).any[1]: would be found in every", "每条帖子里都有"),
        ("tingchao", "page = 1", "page: expected a block: [name]", "应为一节设置"),
        ("tingchao", "[page]\nport = '8760'", "page.port: expected a whole number; got '8760'", "应为整数"),
        ("tingchao", "[page]\nport = true", "page.port: expected a whole number; got true", "应为整数"),
        ("tingchao", "[page]\ntoken_file = ''", "page.token_file: expected text that is not empty", "不能为空"),
        ("tingchao", "[crawl]\nuser_agent = ''", "crawl.user_agent: expected text that is not empty", "不能为空"),
        ("tingchao", "[crawl]\ntimeout = '0s'", "crawl.timeout: expected more than '0s'; got '0s'", "应大于 '0s'"),
        ("tingchao", "[keep]\nposts = '0s'", "keep.posts: expected more than '0s'; got '0s'", "应大于 '0s'"),
        ("tingchao", "[[notify]]\nname = 'p'", "notify[1] (p).kind: missing; expected one of webhook,", "没有写"),
        ("tingchao", "[[notify]]\nname = 'p'\nkind = 7", "(p).kind: expected 'webhook', 'mail',", "应为 'webhook'"),
        ("tingchao", "[notify]\nkind = 'terminal'", "notify: expected two brackets on each side", "应写两层方括号"),
        ("tingchao", "notify = ['terminal']", "notify[1]: expected a block of settings; got", "应为一节设置"),
        ("tingchao", "[[notify]]\nkind='terminal'\n" * 2, "notify: two channels are called terminal", "名称不能相同"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_what_was_got_and_expected_in_both_languages(
    folder: Path, name: str, text: str, said: str, chinese: str
) -> None:
    write(folder, name, text)
    with pytest.raises(ConfigError) as caught:
        load(folder)
    (mistake,) = caught.value.mistakes
    assert mistake.startswith(str(folder / f"{name}.toml"))
    assert said in mistake
    assert chinese in str(language.in_language(mistake, "zh"))


def test_a_whole_number_stands_where_any_number_may(folder: Path) -> None:
    write(folder, "rules", RULE + "ratio = 2\n")
    assert load(folder).rules[0].ratio == 2.0


def test_options_of_kinds_that_the_settings_do_not_know_are_left_to_them(folder: Path) -> None:
    write(folder, "sources", SOURCE.replace('"feed"', '"mine"') + "options = { full_text = 'yes' }")
    assert load(folder).sources[0].options == {"full_text": "yes"}


def test_a_mistake_of_a_whole_file_does_not_repeat_the_file(folder: Path) -> None:
    write(folder, "sources", SOURCE * 2)
    assert mistakes(folder) == ["sources.toml: two sources are called s1; names must differ"]


@pytest.mark.parametrize(
    "url", ["ftp://geheim", "http://[::1/geheim", "geheim", "http://", "http://a b/geheim", "http://a:x/geheim"]
)
@pytest.mark.parametrize("kind", ["webhook", "alertmanager", "dingtalk"])
def test_the_address_of_a_channel_is_checked_and_never_shown(folder: Path, kind: str, url: str) -> None:
    write(folder, "tingchao", f"[[notify]]\nname = 'desk'\nkind = '{kind}'\nurl = '{url}'\n")
    (mistake,) = mistakes(folder)
    assert mistake.endswith(".url: expected an address that begins with http:// or https://")


def test_a_robot_without_address_does_not_show_its_secrets(folder: Path) -> None:
    write(folder, "tingchao", "[[notify]]\nname='g'\nkind='feishu'\nurl='https://geheim'\nurl_file='g'\n")
    assert "geheim" not in mistakes(folder)[0]


@pytest.mark.parametrize(
    ("name", "near"),
    [("tingchaoo", "tingchao"), ("source", "sources"), ("topic", "topics"), ("RULES", "rules"), ("route", "routes")],
)
def test_a_misspelt_file_is_told_with_the_name_that_is_near(folder: Path, name: str, near: str) -> None:
    write(folder, name, "")
    with pytest.raises(ConfigError) as caught:
        load(folder)
    (mistake,) = caught.value.mistakes
    assert mistake == f"{folder / name}.toml: no such file of settings is read; did you mean {near}.toml?"
    assert f"是不是 {near}.toml？" in str(language.in_language(mistake, "zh"))


def test_a_file_that_is_like_none_is_told_with_those_that_are_read(folder: Path) -> None:
    write(folder, "pyproject", "")
    assert mistakes(folder)[0].endswith("expected tingchao.toml, sources.toml, topics.toml, rules.toml, routes.toml")


def test_a_copy_of_all_that_ships_is_right(tmp_path: Path) -> None:
    for file in DEFAULTS.glob("*.toml"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert load(tmp_path) == load(None)


@pytest.mark.parametrize("file", ["tingchao.toml", "rules.toml", "routes.toml"])
def test_what_stands_commented_out_as_an_example_is_right(folder: Path, file: str) -> None:
    shipped = (DEFAULTS / file).read_text(encoding="utf-8")
    (folder / file).write_text(re.sub(r"(?m)^# (?=\[\[|[a-z_]+ = )", "", shipped), encoding="utf-8")
    write(folder, "topics", "".join(TOPIC.replace("metro", name) for name in ("metro", "hospital", "water")))
    if file == "routes.toml":  # its examples name channels, topics and an interval that are the reader's own
        office = '[[time_intervals]]\nname = "office"\n[[time_intervals.time_intervals]]\n'
        (folder / file).write_text((folder / file).read_text(encoding="utf-8") + office, encoding="utf-8")
        read(folder, file, RoutesFile)
    else:
        load(folder)


def test_every_example_of_the_documents_is_right(tmp_path: Path) -> None:
    seen = 0
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for block in re.findall(r"(?ms)^ *```toml\n(.*?)^ *```", document.read_text(encoding="utf-8")):
            seen += 1
            data = tomllib.loads(block)
            kinds = {"source": SourcesFile, "topic": TopicsFile, "rule": RulesFile, "route": RoutesFile}
            kind = next((found for key, found in kinds.items() if key in data), MainFile)
            name = f"{seen}.toml"
            (tmp_path / name).write_text(block, encoding="utf-8")
            read(tmp_path, name, kind)
    assert seen >= 2


def test_the_settings_of_the_demo_and_of_the_containers_are_right() -> None:
    for directory in ("demo/config", "deploy/config"):
        load(ROOT / directory)


@pytest.mark.parametrize(
    ("made", "said", "chinese"),
    [
        (None, "page.token_file: no file", "page.token_file：没有文件"),
        (b" \n", "is empty; expected one line", "是空的"),
        (b"\xff\xfe", "UnicodeDecodeError", "读不了"),
    ],
)
def test_a_file_with_a_secret_that_cannot_be_used_is_named(
    folder: Path, made: bytes | None, said: str, chinese: str
) -> None:
    write(folder, "tingchao", "[page]\ntoken_file = 'token'\n[kafka]\nca_file = 'not in use'\n")
    if made is not None:
        (folder / "token").write_bytes(made)
    (mistake,) = unreadable_files(load(folder).main)
    assert said in mistake
    assert chinese in str(language.in_language(mistake, "zh"))


def test_secrets_of_clusters_and_channels_are_looked_for_where_they_are_in_use(folder: Path) -> None:
    write(
        folder,
        "tingchao",
        "[log]\nkind = 'kafka'\n[kafka]\nca_file = 'a'\n[store]\nkind = 'elasticsearch'\n[elasticsearch]\n"
        "api_key_file = 'b'\n[[notify]]\nkind = 'feishu'\nname = 'g'\nurl_file = 'c'\nsecret_file = 'd'\n",
    )
    found = [mistake.split(": ")[1] for mistake in unreadable_files(load(folder).main)]
    assert found == [
        "kafka.ca_file",
        "elasticsearch.api_key_file",
        "notify[1] (g).url_file",
        "notify[1] (g).secret_file",
    ]
    for name in "abcd":
        (folder / name).write_text("x", encoding="utf-8")
    assert unreadable_files(load(folder).main) == []


def test_all_mistakes_of_all_files_are_told_at_once(folder: Path) -> None:
    write(folder, "tingchao", "a = 1\nb = 2\n[page]\nport = -1\n")
    write(folder, "rules", RULE.replace("5", "'five'"))
    write(folder, "topics", "not toml")
    assert [line.partition(":")[0] for line in mistakes(folder)] == ["tingchao.toml"] * 3 + [
        "topics.toml",
        "rules.toml",
    ]


def test_names_across_files_are_told_beside_mistakes_within_them(folder: Path) -> None:
    write(folder, "tingchao", "a = 1\n")
    write(folder, "sources", SOURCE.replace("metro", "metr").replace('"feed"', '"fed"'))
    with pytest.raises(ConfigError) as caught:
        load(folder, kinds=("feed", "site"))
    key, kind, topic = caught.value.mistakes
    assert "a: unknown key" in key
    assert kind == "sources.toml: source (s1).kind: expected one of feed, site; got 'fed'"
    assert "no topic 'metr'" in topic


def test_topics_are_not_missed_where_their_file_cannot_be_read(folder: Path) -> None:
    write(folder, "topics", "not toml")
    (mistake,) = mistakes(folder)
    assert mistake.startswith("topics.toml: ")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("tingchao", "[page]\nport = 'x'\n", "page.port：应为整数；现在是 'x'"),
        ("tingchao", 'langage = "zh"', "langage：没有这个设置；是不是 'language'？"),
        ("rules", RULE.replace("threshold = 5", ""), "这条规则永远不会触发"),
        ("rules", RULE + "level = 4", "level：应为 1, 2 或 3；现在是 4"),
        ("rules", RULE + 'window = "5"', "应为带单位的数"),
        ("sources", SOURCE.replace("metro", "metr"), "没有主题 'metr'"),
        ("sources", SOURCE * 2, "有两个来源都叫 s1"),
        ("topics", TOPIC.replace('["地铁"]', '["张伟"]'), "听潮只看事，不看人"),
    ],
)
def test_mistakes_can_be_said_in_chinese(folder: Path, name: str, text: str, said: str) -> None:
    write(folder, name, text)
    with pytest.raises(ConfigError) as caught:
        load(folder)
    assert any(said in str(language.in_language(one, "zh")) for one in caught.value.mistakes)


def test_a_message_is_english_as_a_string_and_can_be_said_in_both() -> None:
    inner = language.Said("error.os.missing")
    said = language.Said("error.file", file="{x}", error=inner)
    assert said == str(said) == said.to("en") == "{x}: No such file or directory; give a file, or - for standard input"
    assert language.in_language(ValueError(said), "zh") == "{x}：没有这个文件；请给出文件，或用 - 表示标准输入"
    assert str(language.in_language(ValueError("as it is"), "zh")) == "as it is"


def test_bytes_that_are_no_text_are_a_mistake(folder: Path) -> None:
    (folder / "topics.toml").write_bytes(TOPIC.encode("gb18030"))
    (mistake,) = mistakes(folder)
    assert mistake.startswith("topics.toml: ")


def test_settings_cannot_be_changed_on_the_way(folder: Path) -> None:
    settings = load(folder)
    with pytest.raises(ValidationError):
        settings.main.crawl.user_agent = "Mozilla/5.0"  # type: ignore[misc]


def test_near_and_channels(folder: Path) -> None:
    write(folder, "topics", TOPIC + 'near = [{ words = ["地铁", "冒烟"], within = 5 }]\n')
    write(
        folder, "tingchao", "[[notify]]\nkind = 'webhook'\nname = 'desk'\nurl = 'http://127.0.0.1:9/'\nmin_level = 2\n"
    )
    settings = load(folder)
    assert settings.topics[0].near == [Near(words=["地铁", "冒烟"], within=5)]
    (channel,) = settings.main.notify
    assert isinstance(channel, Webhook)
    assert (channel.min_level, channel.timeout) == (2, timedelta(seconds=10))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("10m", timedelta(minutes=10)),
        ("2h", timedelta(hours=2)),
        ("7d", timedelta(days=7)),
        ("1.5h", timedelta(minutes=90)),
        (timedelta(1), timedelta(1)),
    ],
)
def test_durations(text: object, expected: timedelta) -> None:
    assert duration(text) == expected


@pytest.mark.parametrize(
    "value", ["", "5", "5 m", "m", "-5m", "5M", "1h30m", "nan s", "٥m5", "9" * 20 + "d", 5, 5.0, None]
)
def test_what_is_no_duration_is_refused_with_an_example(value: object) -> None:
    with pytest.raises(ValueError, match="'7d'"):
        duration(value)


def test_texts_are_filled_in_the_language_asked_for() -> None:
    assert language.text("cli.said.error", "en", message="no") == "error: no"
    assert language.text("cli.said.error", "zh", message="no") == "错误：no"
    with pytest.raises(KeyError):
        language.text("cli.said.nothing", "zh")
    with pytest.raises(KeyError):
        language.text("cli.said.error", "fr", message="no")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "zh"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "C.UTF-8"}, "zh"),
        ({"LANG": "en_US.UTF-8", "TINGCHAO_LANG": "zh"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "en_GB"}, "en"),
        ({"TINGCHAO_LANG": "EN"}, "en"),
    ],
)
def test_the_language_of_the_command_line(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    for name in ("TINGCHAO_LANG", "LC_ALL", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert language.from_environment() == expected


def test_a_secret_file_stands_beside_the_settings_that_name_it(tmp_path: Path) -> None:
    (tmp_path / "tingchao.toml").write_text('[page]\nhost = "0.0.0.0"\ntoken_file = "page.token"\n')
    assert load(tmp_path).main.page.token_file == tmp_path / "page.token"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('urls = ["https://elastic:geheim@search.example:9200"]', "set user and password_file"),
        ('urls = ["ftp://search.example"]', "expected such as https://search-1.example.org:9200"),
        ('urls = ["http://search.example:9200"]\nuser = "index"', "use https"),
        ('user = "index"\napi_key_file = "key"', "choose one of them"),
    ],
)
def test_an_elasticsearch_that_cannot_be_reached_safely_is_refused(tmp_path: Path, line: str, told: str) -> None:
    (tmp_path / "tingchao.toml").write_text(f"[elasticsearch]\n{line}\n")
    with pytest.raises(ConfigError, match="elasticsearch") as caught:
        load(tmp_path)
    assert told in str(caught.value)
    assert "geheim" not in str(caught.value)
