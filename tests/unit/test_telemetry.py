"""Logs: one message is one line, and holds no secret."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskdash import telemetry

TOKEN = "tdk_" + "a1B2c3" * 6
SECRETS = [
    f"Authorization: Bearer {TOKEN}",
    f"token {TOKEN} was refused",
    "Cookie: taskdash=canary; other=canary",
    "set-cookie: taskdash=canary; Path=/",
    "{'password': 'canary', 'user': 'ada'}",
    '{"password":"canary"}',
    "password=canary",
    "postgresql://ada:canary@db/taskdash",
    "Authorization: Basic canary",
]


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    handlers = logging.getLogger().handlers
    yield
    logging.getLogger().handlers = handlers
    structlog.reset_defaults()


@given(st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_R158_one_message_is_one_line_of_printable_ascii(capsys: pytest.CaptureFixture[str], text: str) -> None:
    telemetry.start_logging()
    structlog.get_logger().info(text, detail=text, peer=[text])
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.isascii()
    assert line[:-1].isprintable()
    assert json.loads(line)["level"] == "info"


def test_R158_a_field_has_at_most_1_KiB(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.start_logging()
    structlog.get_logger().info("x", detail="y" * 5_000, many=["z" * 5_000])
    line = json.loads(capsys.readouterr().err)
    assert len(line["detail"]) == len(line["many"]) == telemetry.LONGEST


def test_of_a_stack_the_end_is_kept_where_the_error_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.start_logging()
    try:
        raise ValueError("z" * 2_000 + " the end")
    except ValueError as error:
        structlog.get_logger().error("broken", exc_info=error)
    assert json.loads(capsys.readouterr().err)["exception"].endswith("the end")


@pytest.mark.parametrize("text", SECRETS)
def test_R159_no_secret_is_in_a_log_line(capsys: pytest.CaptureFixture[str], text: str) -> None:
    telemetry.start_logging()
    structlog.get_logger().info(text, detail=text, values={"text": text})
    logging.getLogger("library").warning("it said %s", text)
    written = capsys.readouterr().err
    assert "canary" not in written
    assert TOKEN not in written
    assert written.count("\n") == 2


def test_R158_what_libraries_log_leaves_as_our_lines(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.start_logging()
    logging.getLogger("uvicorn.error").warning("Invalid \x1b[31mHTTP\nrequest")
    line = json.loads(capsys.readouterr().err)
    assert line["logger"] == "uvicorn.error"
    assert line["event"] == "Invalid \x1b[31mHTTP\nrequest"
