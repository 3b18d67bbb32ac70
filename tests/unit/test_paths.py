"""Ids in paths: R87."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskdash.web.paths import escaped, opened


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


def test_the_query_is_no_part_of_the_path() -> None:
    assert escaped(b"/tasks/x?q=//") == "/tasks/x"
