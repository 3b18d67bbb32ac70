"""Ids in paths: R87."""

from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskdash.web.pages import links
from taskdash.web.paths import escaped, opened
from taskdash.web.routes import routes


@given(st.text(min_size=1).filter(lambda text: text.isprintable() and max(text) < "\ud800"))
def test_R87_every_id_comes_back_exactly(task_id: str) -> None:
    path = escaped(f"/api/v1/tasks/{quote(task_id, safe='')}/claim".encode())
    assert path is not None
    assert path.count("/") == 5
    assert opened(path.split("/")[4]) == task_id


@pytest.mark.parametrize("raw", [b"/a//b", b"//", b"/%ff", b"/%C3", b"*", b"", b"http://h/x"])
def test_R87_a_path_that_is_no_text_or_has_a_hole_names_nothing(raw: bytes) -> None:
    assert escaped(raw) is None


def test_R87_an_encoded_slash_and_percent_stay_one_segment() -> None:
    assert escaped(b"/tasks/a%2Fb") == "/tasks/a%2Fb"
    assert escaped(b"/tasks/a%252Fb") == "/tasks/a%252Fb"
    assert opened("a%2Fb") == "a/b"
    assert opened("a%252Fb") == "a%2Fb"


def test_an_id_that_is_also_a_word_of_ours_is_reached_by_a_needless_escape() -> None:
    assert escaped(b"/tasks/export") == "/tasks/export"
    path = escaped(b"/tasks/%65xport")
    assert path == "/tasks/%65xport"
    assert opened(path.rpartition("/")[2]) == "export"


@pytest.mark.parametrize(("place", "link"), [("/tasks", links.task), ("/services", links.service)])
def test_the_links_of_the_screens_know_every_word_that_stands_where_an_id_may_stand(
    place: str, link: Callable[[str], str]
) -> None:
    paths = [path.split("/") for route in routes() for path in route.paths]
    words = {path[2] for path in paths if len(path) > 2 and f"/{path[1]}" == place and not path[2].startswith("{")}
    assert words == links.WORDS[place]
    for word in links.WORDS[place]:
        path = escaped(link(word).encode())
        assert path is not None
        assert path.rpartition("/")[2] != word
        assert opened(path.rpartition("/")[2]) == word
    assert link("word") == f"{place}/word"


def test_the_query_is_no_part_of_the_path() -> None:
    assert escaped(b"/tasks/x?q=//") == "/tasks/x"
