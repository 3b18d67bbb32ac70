"""The Chinese catalogue has every key that is used, no other, and each with its placeholders. UI 9."""

import ast
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from taskdash import errors
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
    return meanings | _refusals() | {message for _file, _line, message, _comments, _context in found}


def _catalogues() -> list[dict[str | tuple[str, ...], str]]:
    found = []
    for path in sorted(texts.CHINESE.glob("*.po")):
        with path.open("rb") as source:
            messages = [message for message in read_po(source, locale="zh_CN") if message.id]
        found.append({m.id: m.string if isinstance(m.string, str) else m.string[0] for m in messages})  # type: ignore[misc]
    return found


def _refusals() -> set[str]:
    """The templates by which sentences of the code are read back."""
    with texts.REFUSALS.open("rb") as source:
        return {str(message.id) for message in read_po(source, locale="zh_CN") if message.id}


_KINDS = {each.__name__ for each in errors.TaskDashError.__subclasses__()}
_RAISED = _KINDS | {"Refused", "Failed", "Broken", "TooSoon", "kind"}
"""How errors are made; `kind` is one that was chosen just before."""
_NO_SCREEN = ("tcp/", "client/", "commands/", "ingest/nsqd_http.py", "wire/pack.py")
_ANSWERS = {"rules/roles.py"}
"""Functions there return sentences instead of raising them."""
_MADE_OF_PARTS = [
    *(f"id: expected `str`, got `{kind}`" for kind in ("int", "float", "bool", "null", "array", "object")),
    "the body: expected `object`, got `array`",
    "the record: object missing required field `id`",
    "name: number out of range",
    "scopes[...]: invalid enum value 'x'",
    "input data was truncated",
    *(
        f"JSON is malformed: {rule} (byte 3)"
        for rule in (
            "invalid character",
            "trailing characters",
            "invalid escape character in string",
            "invalid number",
            "trailing comma in object",
            "trailing comma in array",
            "object keys must be strings",
        )
    ),
    *(f"interval must be {what}" for what in ("a number of seconds", "a text", "true or false", 'the text "GET" or "POST"')),
    "the body holds a lone surrogate",
    "x.later[1]: JSON is malformed: invalid character (byte 3)",
    "the answer is nested deeper than 32",
    "reserved: x must not be negative",
    "record 3: the record is not valid JSON: input data was truncated",
    "the topic is none of TaskDash's",
    "TaskDash could not store it (OverflowError)",
    "the body is not valid UTF-8 at byte 1; it looks like one line of a pretty-printed object: "
    "text /mpub ends a message at each newline",
    "TaskDash is stopping",
    "the store has not answered for 5 s; nothing was kept",
]
"""Sentences whose parts come from elsewhere: from the JSON decoder, from a rule's table, or joined when they are stored."""
_OPEN = {"{}: {}", "{} must be {}", "E_{}"}
"""How these begin in the code; `_MADE_OF_PARTS` has what becomes of them."""


def _said(node: ast.expr) -> str:
    """The text of a literal, with {} for each value in it; empty for what is no literal."""
    if isinstance(node, ast.BoolOp):
        return _said(node.values[-1])
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _sentences_of_errors() -> Iterator[tuple[str, str]]:
    """(where, sentence) of every error that a screen may have to say."""
    source = WEB.parent
    for path in sorted(source.rglob("*.py")):
        place = path.relative_to(source).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            found: list[ast.expr] = []
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _RAISED:
                found = node.args[1:2] if node.func.id == "Refused" else node.args[:1]
            elif isinstance(node, ast.Return) and place in _ANSWERS and node.value is not None:
                found = [node.value.orelse, node.value.body] if isinstance(node.value, ast.IfExp) else [node.value]
            if not place.startswith(_NO_SCREEN):
                yield from ((f"{place}:{each.lineno}", text) for each in found if (text := _said(each)) and text not in _OPEN)


def _samples(sentence: str) -> list[str]:
    """The sentence with numbers and words in it."""
    return [sentence.replace("{}", "%s") % values for values in product(("3", "id"), repeat=sentence.count("{}"))]


def _pattern(key: str) -> re.Pattern[str]:
    return re.compile(_PLACEHOLDER.sub(".+?", re.escape(key).replace(r"%\(", "%(").replace(r"\)s", ")s")))


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


def test_whatever_an_error_says_is_read_in_chinese_and_nothing_else_is_kept_for_it() -> None:
    told, sites = texts.load("zh-CN").told, list(_sentences_of_errors())
    assert len(sites) > 120
    silent = [(where, said) for where, said in sites if all(told(sample) == sample for sample in _samples(said))]
    assert silent == []
    said = [*_MADE_OF_PARTS, *(sample for _where, each in sites for sample in _samples(each))]
    assert [each for each in _MADE_OF_PARTS if re.search("[a-z]{4,} [a-z]{2,}", told(each))] == []
    parts = [part for each in said for part in (each, *re.split(r"; |: | \(", each), *re.split(" (?:is|holds) ", each))]
    unused = [key for key in _refusals() if not any(_pattern(key).fullmatch(part) for part in parts)]
    assert unused == []


def test_an_error_tells_an_english_reader_what_the_api_says() -> None:
    assert (
        texts.load("en").told("this needs the role lead, and you are member") == "this needs the role lead, and you are member"
    )
