"""The Chinese catalogue has every key that is used, no other, and each with its placeholders. UI 9."""

import re
from pathlib import Path

from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from taskdash.settings.sources import keys
from taskdash.web.pages import texts

WEB = Path(texts.__file__).parent.parent
KEYWORDS = {"_": None, "mark": None, "texts": None, "plural": (1, 2)}
_PLACEHOLDER = re.compile(r"%\(\w+\)s")


def _used() -> set[str | tuple[str, ...]]:
    options = {"templates/**.html": {"newstyle_gettext": "true"}}
    methods = [("templates/**.html", "jinja2.ext:babel_extract"), ("pages/**.py", "python")]
    found = extract_from_dir(str(WEB), method_map=methods, options_map=options, keywords=KEYWORDS)
    meanings = {key.meaning for key in keys().values()}
    return meanings | {message for _file, _line, message, _comments, _context in found}


def _catalogues() -> list[dict[str | tuple[str, ...], str]]:
    found = []
    for path in sorted(texts.CHINESE.glob("*.po")):
        with path.open("rb") as source:
            messages = [message for message in read_po(source, locale="zh_CN") if message.id]
        found.append({m.id: m.string if isinstance(m.string, str) else m.string[0] for m in messages})  # type: ignore[misc]
    return found


def _catalogue() -> dict[str | tuple[str, ...], str]:
    return {key: text for part in _catalogues() for key, text in part.items()}


def test_every_text_has_its_chinese_and_no_other_is_kept() -> None:
    used, known = _used(), set(_catalogue())
    assert len(used) > 200
    assert used - known == set()
    assert known - used == set()


def test_a_translation_is_not_empty_and_names_the_same_values() -> None:
    for key, text in _catalogue().items():
        source = key if isinstance(key, str) else key[1]
        assert text.strip(), key
        assert set(_PLACEHOLDER.findall(text)) == set(_PLACEHOLDER.findall(source)), key


def test_the_language_is_the_cookie_then_the_account_then_the_browser() -> None:
    assert texts.chosen("zh-CN", "en", "en") == "zh-CN"
    assert texts.chosen("", "zh_CN", "en") == "zh-CN"
    assert texts.chosen("", "", "fr;q=0.9, zh-TW;q=0.8, en;q=0.1") == "zh-CN"
    assert texts.chosen("<script>", "", "de, en;q=x") == "en"
    assert texts.load("zh-CN").plural("%(n)s problem", "%(n)s problems", 2) == "2 个问题"


def test_a_stored_sentence_is_read_in_the_readers_language() -> None:
    english = "No beats are expected and there is no url."
    assert texts.load("en").told(english) == english
    assert texts.load("zh-CN").told(english).startswith("该服务不发心跳")
    assert texts.load("zh-CN").told("nobody wrote this sentence") == "nobody wrote this sentence"


def test_no_text_is_translated_twice() -> None:
    # one catalogue holds them all by their singular
    keys = [key if isinstance(key, str) else key[0] for part in _catalogues() for key in part]
    assert [key for key in keys if keys.count(key) > 1] == []
