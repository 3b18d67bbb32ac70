"""The short way to read the usual beat gives what the long way gives (SPEC 1, 2)."""

from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taskdash.errors import TaskDashError
from taskdash.model.records import Heartbeat
from taskdash.wire import messages


def read(body: bytes) -> Heartbeat | str:
    try:
        return messages.decode_heartbeat(body)
    except TaskDashError as error:
        return error.detail


ids = st.binary(max_size=4) | st.sampled_from(
    [b"a", b".", b"..", b"a" * 128, b"a" * 129, b" a", b"a b", b'\\"', b"\\u0041", b"\x7f", "133-äß".encode(), b"\\u0000"]
)
form = st.sampled_from(
    [
        b'{"id":"%s"}', b'{"id": "%s"}', b'{"id":"%s","reserved":""}', b'{"id": "%s", "reserved": ""}', b' {"id":"%s"}',
        b'{"id":"%s","reserved":"x"}', b'{"id":"%s"}}', b'{"id":"%s","id":"z"}', b'{"reserved":"","id":"%s"}',
    ]
)  # fmt: skip


@given(form, ids)
@example(b'{"id":"%s"}', b'x","id":"y')
def test_the_short_way_and_the_long_way_agree(shape: bytes, key: bytes) -> None:
    body = shape % key
    with patch.object(messages, "_plain_beat", lambda _body: None):
        long_way = read(body)
    assert read(body) == long_way


@pytest.mark.parametrize("body", [b'{"id":"svc-1","reserved":""}', b'{"id": "svc-1"}'])
def test_what_go_and_python_write_takes_the_short_way(body: bytes) -> None:
    assert messages._plain_beat(body)
