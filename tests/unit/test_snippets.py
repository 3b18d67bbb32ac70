"""Lines to copy: the addresses under which this server is reached, and quoting. UI 6 (First run)."""

import shlex

from taskdash.web.pages import snippets
from taskdash.web.pages.admin_intake import as_text
from taskdash.web.pages.snippets import Way

EMBEDDED = Way("http://td.example:8700", "http://td.example:4151/pub?topic=", ("taskdash.services", "taskdash.heartbeats"))


def test_a_listener_on_every_address_is_reached_by_the_name_that_the_browser_used() -> None:
    assert snippets.reachable("0.0.0.0:4151", "td.example:8700") == "td.example:4151"
    assert snippets.reachable("[::]:4151", "[2001:db8::1]:8700") == "[2001:db8::1]:4151"
    assert snippets.reachable("0.0.0.0:4151", "td.example") == "td.example:4151"
    assert snippets.reachable("127.0.0.1:4151", "td.example:8700") == "127.0.0.1:4151"
    assert snippets.reachable("", "td.example:8700") == ""


def test_an_id_is_quoted_so_that_a_shell_takes_it_as_one_word() -> None:
    line = snippets.register(EMBEDDED, "it's; rm -rf $HOME `x`", 'a "b"')
    assert shlex.split(line)[-1] == '{"id":"it\'s; rm -rf $HOME `x`","name":"a \\"b\\""}'


def test_no_place_is_left_unfilled_and_other_topics_are_told() -> None:
    own = Way(EMBEDDED.origin, EMBEDDED.pub, ("prod.services", "prod.beats"))
    cluster = Way(EMBEDDED.origin, "", own.topics)
    for way in (EMBEDDED, own, cluster):
        texts = [step.text for language in snippets.languages(way) for step in language.steps]
        assert len(texts) == 6
        assert not any("@" in text for text in texts)
    python = snippets.languages(own)[1].steps[0].text
    assert 'OverNsqHttp("http://td.example:4151", "prod.services", "prod.beats")' in python
    compile(python, "python", "exec")
    compile(snippets.languages(cluster)[1].steps[0].text, "python", "exec")


def test_nothing_hides_in_the_text_of_a_dead_letter() -> None:
    assert as_text(b"a\r\n\tb\x00\x1b[31m\xff") == "a\n\tb\\x00\\x1b[31m\\xff"
    assert as_text("\u202eabc\u2066 中文".encode()) == "\\u202eabc\\u2066 中文"
