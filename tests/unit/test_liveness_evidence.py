"""The sentences of evidence, in English and back in Chinese (rules.evidence)."""

import re
import string

import pytest

from taskdash.collector import failures
from taskdash.model.instants import seconds
from taskdash.rules.evidence import TEMPLATES, duration, moment, say, sentence
from taskdash.rules.reading_back import reader
from tests.support import NOW

AT = moment(NOW)
translate = reader(TEMPLATES.values())


@pytest.mark.parametrize(
    ("length_s", "english", "chinese"),
    [
        (0.012, "12 ms", "12 毫秒"),
        (-1, "0 ms", "0 毫秒"),
        (1, "1 s", "1 秒"),
        (59.6, "1 min", "1 分钟"),
        (260, "4 min 20 s", "4 分 20 秒"),
        (7_500, "2 h 5 min", "2 小时 5 分钟"),
        (7_200, "2 h", "2 小时"),
        (86_400 * 3, "3 d", "3 天"),
        (86_400 * 3 + 3_600 * 4, "3 d 4 h", "3 天 4 小时"),
    ],
)
def test_lengths_of_time_are_said_as_people_say_them(length_s: float, english: str, chinese: str) -> None:
    assert duration(seconds(length_s)) == english
    assert translate(english) == chinese


def test_a_sentence_made_of_parts_is_translated_part_by_part() -> None:
    silence = say("no_beat", gap="4 min", at=AT)
    answer = say("url_answered", took="12 ms", at=AT)
    english = sentence("late_url", silence=silence, answer=answer)
    assert english == f"No beat for 4 min, the last was sent at {AT}, but its url answered in 12 ms at {AT}."
    assert translate(english) == f"已 4 分钟没有心跳，上一次发于 {AT}，但其 url 于 {AT} 在 12 毫秒内应答。"


def test_what_people_call_things_and_the_reasons_they_give_are_not_read_back() -> None:
    assert translate("5 s paused it: the connection was reset") == "5 s 暂停了它：the connection was reset"


@pytest.mark.parametrize("text", ["", "moving house", "timed out after 5 seconds {odd} text", "5 s" * 1_000])
def test_a_text_of_nobodys_making_stays_as_it_is(text: str) -> None:
    assert translate(text) == text


def fields_of(template: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(template) if name)


@pytest.mark.parametrize("key", TEMPLATES)
def test_every_template_says_the_same_facts_in_both_languages_and_is_read_back(key: str) -> None:
    english, chinese = TEMPLATES[key]
    assert fields_of(english) == fields_of(chinese)
    numbers = {"n": 3, "m": 4, "silent": 5, "all": 9, "at": AT, "since": AT, "started": AT}
    facts = {name: numbers.get(name, f"<{name}>") for name in fields_of(english)}
    told = translate(sentence(key, **facts))
    assert told == chinese.format(**facts)
    assert not re.search(r"[{}]", told)


def test_why_a_url_was_not_collected_is_read_in_the_readers_language() -> None:
    for text in (*failures._BY_ERRNO.values(), *(text for _kind, text in failures._BY_TYPE), "it answered with status 503"):
        assert translate(text) != text, text
