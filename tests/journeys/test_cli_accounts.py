"""`taskdash user` and `taskdash token` as an operator runs them (SPEC 9; RELIABILITY R148, R149, R159)."""

import re

import pytest

from taskdash.store.places import Place
from tests.journeys.commands import Ended, taskdash
from tests.support import all_rows

PASSWORD = "seven bright lanterns"


async def add(at: list[str], name: str, role: str, *groups: str) -> Ended:
    options = [f"--group={group}" for group in groups]
    return await taskdash("user", "add", name, "--role", role, *options, "--password-stdin", *at, text=f"{PASSWORD}\n")


def rows(ended: Ended) -> list[list[str]]:
    return [re.split(r"\s{2,}", line) for line in ended.output.splitlines()[1:]]


async def test_people_are_added_before_the_first_start_and_listed(at: list[str]) -> None:
    assert (await add(at, "ssx", "member", "mx", "pay")).output == "ssx is member in mx, pay\n"
    assert (await add(at, "root", "admin")).output == "root is admin\n"
    listed = await taskdash("user", "list", *at)
    assert rows(listed) == [["root", "admin", "-", "active", "never"], ["ssx", "member", "mx,pay", "active", "never"]]


async def test_a_name_that_is_taken_or_a_password_that_is_weak_is_refused_in_one_sentence(at: list[str]) -> None:
    await add(at, "ssx", "member")
    assert (await add(at, "ssx", "admin")).errors == "taskdash: there is a user ssx already\n"
    weak = await taskdash("user", "add", "b", "--role", "member", "--password-stdin", *at, text="short\n")
    assert (weak.status, weak.errors.count("\n")) == (1, 1)
    assert weak.errors.endswith("must have at least 12 characters\n")
    nothing = await taskdash("user", "passwd", "ssx", *at)
    assert (nothing.status, nothing.output) == (2, "")
    assert "give it with --password-stdin" in nothing.errors


async def test_a_new_password_and_disabling_change_the_account_and_leave_history(at: list[str], served: Place) -> None:
    await add(at, "ssx", "member")
    await add(at, "root", "admin")
    changed = await taskdash("user", "passwd", "ssx", "--password-stdin", *at, text="nine quiet harbours\n")
    assert changed.output == "ssx has a new password; every session has ended\n"
    assert (await taskdash("user", "disable", "ssx", *at)).status == 0
    assert rows(await taskdash("user", "list", *at))[1][3] == "disabled"
    last = await taskdash("user", "disable", "root", *at)
    assert (last.status, last.errors) == (1, "taskdash: root is the last admin and cannot be disabled or demoted\n")
    with served.open_readers().connect() as conn:
        told = conn.exec_driver_sql("SELECT kind, channel, actor_id FROM events WHERE subject_id = 'ssx' ORDER BY seq").all()
    assert [kind for kind, *_ in told] == ["user.added", "user.password_changed", "user.disabled"]
    assert {(channel, actor) for _, channel, actor in told} == {("cli", "shell")}


async def test_R148_a_token_is_printed_alone_and_only_its_hash_is_stored(at: list[str], served: Place) -> None:
    await add(at, "ssx", "member")
    made = await taskdash("token", "create", "--user", "ssx", "--name", "edge", "--scope", "ingest", *at)
    assert re.fullmatch(r"tdk_[0-9A-Za-z]{36}\n", made.output)
    assert "never expires" in made.errors
    assert made.output.strip().encode() not in all_rows(served)
    listed = rows(await taskdash("token", "list", *at))
    assert listed[0][1:] == ["ssx", "edge", "member", "ingest", "never expires"]
    assert made.output.strip() not in str(listed)


async def test_a_token_ends_after_90_days_or_as_told_or_when_it_is_revoked(at: list[str]) -> None:
    await add(at, "ssx", "member")
    for days in ([], ["--days", "7"], ["--days", "never"]):
        assert (await taskdash("token", "create", "--user", "ssx", "--name", "x", *days, *at)).status == 0
    never, week, usual = rows(await taskdash("token", "list", *at))
    assert never[5] == "never expires"
    assert week[5].startswith("until ")
    assert usual[5] > week[5]
    assert (await taskdash("token", "revoke", never[0], *at)).output == f"token {never[0]} (x of ssx) is revoked\n"
    assert rows(await taskdash("token", "list", *at))[0][5] == "revoked"
    assert (await taskdash("token", "revoke", "none", *at)).errors == "taskdash: no token has the id none\n"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--role", "admin"], "a token cannot have more than its user's role, member"),
        (["--days", "0"], "must be never, or whole days from 1 to 36500"),
        (["--scope", "all"], "invalid choice: 'all'"),
    ],
)
async def test_a_token_that_must_not_be_is_refused(at: list[str], options: list[str], sentence: str) -> None:
    await add(at, "ssx", "member")
    ended = await taskdash("token", "create", "--user", "ssx", "--name", "x", *options, *at)
    assert ended.output == ""
    assert ended.status in {1, 2}
    assert sentence in ended.errors
    assert rows(await taskdash("token", "list", *at)) == []
