"""Settings: four sources in order, where each value came from, and refusals that name what is wrong (SPEC 9)."""

from pathlib import Path
from typing import Any

import pytest

from taskdash.commands import settings_doc
from taskdash.errors import StartRefused
from taskdash.settings import shown as as_shown
from taskdash.settings.model import Settings
from taskdash.settings.sources import environment_name, keys, load, value_of
from taskdash.settings.values import Address


def a_toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "taskdash.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(options: dict[str, Any], environ: dict[str, str] | None = None, toml: Path | None = None) -> str:
    with pytest.raises(StartRefused) as refused:
        load(options, environ or {}, toml)
    assert refused.value.code == 2
    return str(refused.value)


def test_without_any_source_the_defaults_of_the_contract_hold() -> None:
    settings = load({}, {})
    assert [str(a) for a in (settings.http.listen, settings.tcp.listen, settings.nsq_listen, settings.nsq_http_listen)] == [
        "127.0.0.1:8700",
        "127.0.0.1:8701",
        "127.0.0.1:4150",
        "127.0.0.1:4151",
    ]
    assert (settings.liveness.mass_hold, settings.liveness.archive_after) == (120.0, 604_800.0)
    assert settings.data_dir.name == "taskdash"
    assert not settings.is_cluster
    assert set(settings.origins.values()) == {"default"}


def test_the_command_line_wins_over_the_environment_over_toml_over_defaults(tmp_path: Path) -> None:
    toml = a_toml(tmp_path, 'http = "127.0.0.1:1"\n\n[tcp]\nlisten = "127.0.0.1:2"\n[collect]\ninterval = 7\n')
    settings = load({"http": "127.0.0.1:3"}, {"TASKDASH_HTTP": "127.0.0.1:4", "TASKDASH_TCP": "127.0.0.1:5"}, toml)
    assert settings.http.listen.port == 3
    assert settings.tcp.listen.port == 5
    assert settings.collect.interval == 7.0
    assert settings.origins["http.listen"] == "command line"
    assert settings.origins["tcp.listen"] == "environment TASKDASH_TCP"
    assert settings.origins["collect.interval"] == "taskdash.toml:6"
    assert settings.origins["collect.timeout"] == "default"


def test_a_table_of_toml_is_two_underscores_in_the_environment() -> None:
    assert load({}, {"TASKDASH_LIVENESS__MASS_HOLD": "5"}).liveness.mass_hold == 5.0


def test_the_environment_may_name_the_file(tmp_path: Path) -> None:
    toml = a_toml(tmp_path, "[tasks]\nkeep_gone = 60\n")
    assert load({}, {"TASKDASH_CONFIG": str(toml)}).tasks.keep_gone == 60.0


@pytest.mark.parametrize("name", sorted(keys()))
def test_every_setting_can_be_given_in_the_environment_as_it_is_shown(name: str) -> None:
    settings = load({}, {})
    value = value_of(settings, name)
    raw = ",".join(map(str, value)) if isinstance(value, tuple) else "off" if name == "nsq.output_buffer" else str(value)
    if value is None and raw == "None":
        raw = "/tmp/some.pem"
    both = {"TASKDASH_NSQ__TLS_CERT": "/tmp/c", "TASKDASH_NSQ__TLS_KEY": "/tmp/k"} if name.startswith("nsq.tls_") else {}
    again = load({}, both | {environment_name(name): raw})
    assert again.origins[name] == f"environment {environment_name(name)}"
    assert value is None or value_of(again, name) == value


def test_lists_come_from_repeated_options_commas_and_toml(tmp_path: Path) -> None:
    nodes = (Address("a", 1), Address("b", 2))
    assert load({"nsqd": ["a:1", "b:2"]}, {}).nsqd == nodes
    assert load({}, {"TASKDASH_NSQD": "a:1, b:2"}).nsqd == nodes
    assert load({}, {}, a_toml(tmp_path, 'nsqd = ["a:1", "b:2"]')).nsqd == nodes


@pytest.mark.parametrize(
    ("text", "shown"), [("127.0.0.1:0", "127.0.0.1:0"), ("[::1]:8700", "[::1]:8700"), ("localhost:80", "localhost:80")]
)
def test_an_address_is_host_and_port(text: str, shown: str) -> None:
    settings = load({"http": text}, {})
    assert str(settings.http.listen) == shown
    assert settings.http.listen.is_loopback


@pytest.mark.parametrize(
    "text", ["8700", ":8700", "a:", "a:b", "a:65536", "::1:8700", "[::1]", "[x]:1", "a b:1", "a:-1", "a:１"]
)
def test_a_wrong_address_is_refused_with_its_name_and_rule(text: str) -> None:
    sentence = refusal({"tcp": text})
    assert sentence.startswith("setting tcp.listen must be host:port")
    assert repr(text) in sentence
    assert "(command line)" in sentence


def test_an_unknown_or_wrong_setting_of_toml_is_named_with_file_and_line(tmp_path: Path) -> None:
    assert (
        refusal({}, {}, a_toml(tmp_path, "\n[livenes]\nmass_hold = 1\n"))
        == "unknown setting livenes.mass_hold (taskdash.toml:3)"
    )
    sentence = refusal({}, {}, a_toml(tmp_path, "[liveness]\n\nmass_hold = 'soon'\n"))
    assert sentence == "setting liveness.mass_hold must be a number of seconds from 0 to 86400, not 'soon' (taskdash.toml:3)"


def test_a_file_that_is_missing_or_not_toml_is_named(tmp_path: Path) -> None:
    assert f"settings file {tmp_path / 'no.toml'} cannot be read" in refusal({}, {}, tmp_path / "no.toml")
    assert "is not valid TOML" in refusal({}, {}, a_toml(tmp_path, "a = ["))


def test_an_unknown_setting_of_the_environment_is_refused_but_not_what_clients_and_kubernetes_put_there() -> None:
    assert refusal({}, {"TASKDASH_MASS_HOLD": "1"}) == "unknown setting mass_hold (environment TASKDASH_MASS_HOLD)"
    known = {
        "TASKDASH_URL": "x",
        "TASKDASH_TOKEN": "x",
        "TASKDASH_PORT": "tcp://10.0.0.1:8700",
        "TASKDASH_SERVICE_HOST": "10.0.0.1",
    }
    assert load({}, known | {"TASKDASH_PORT_8700_TCP_ADDR": "10.0.0.1"}).http.listen.port == 8700


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("collect.concurrency", "0"),
        ("collect.concurrency", "1.5"),
        ("collect.timeout", "nan"),
        ("access.visibility", "some"),
        ("listen.allow", "10.0.0.1/8"),
        ("insecure", "perhaps"),
        ("time_zone", "Mars/Olympus"),
        ("nsq.services_topic", "a b"),
        ("nsq.output_buffer", "24"),
        ("db", "mysql://x"),
        ("nsqd", "a:0"),
        ("roles", "web,cook"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(name: str, raw: str) -> None:
    assert refusal({}, {environment_name(name): raw}).startswith(f"setting {name} must be ")


def test_a_truth_of_toml_is_no_number(tmp_path: Path) -> None:
    assert "setting tasks.keep_gone must be" in refusal({}, {}, a_toml(tmp_path, "[tasks]\nkeep_gone = true\n"))


@pytest.mark.parametrize("name", ["tcp", "nsq_listen", "nsq_http_listen"])
def test_a_listener_that_others_reach_without_authentication_is_refused(name: str) -> None:
    sentence = refusal({name: "0.0.0.0:9000"})
    assert "which other machines can reach without authentication" in sentence
    assert load({name: "0.0.0.0:9000", "insecure": True}, {}).insecure


def test_a_listener_that_others_reach_is_allowed_with_authentication() -> None:
    load({"tcp": "0.0.0.0:9000"}, {"TASKDASH_TCP__TOKEN": "a secret of some length"})
    load({"nsq_listen": "0.0.0.0:9000"}, {"TASKDASH_NSQ__AUTH": "a secret of some length"})
    load({"nsq_listen": "0.0.0.0:9000", "nsqd": ["a:1"]}, {})  # a cluster has no endpoint of its own
    load({"http": "0.0.0.0:9000"}, {})  # people and programs sign in


def test_a_secret_that_others_could_guess_is_refused() -> None:
    """They can try thousands a second (RELIABILITY, Attacks)."""
    wanted = "must have at least 16 characters: other machines can reach 0.0.0.0:9000 and guess it"
    assert f"setting tcp.token {wanted}" in refusal({"tcp": "0.0.0.0:9000"}, {"TASKDASH_TCP__TOKEN": "hunter2"})
    assert f"setting nsq.auth {wanted}" in refusal({"nsq_listen": "0.0.0.0:9000"}, {"TASKDASH_NSQ__AUTH": "x" * 15})
    load({"tcp": "127.0.0.1:9000"}, {"TASKDASH_TCP__TOKEN": "hunter2"})


def test_fewer_roles_need_postgresql() -> None:
    assert "setting roles must name all roles unless db is a PostgreSQL url" in refusal({"roles": "web,tcp"})
    assert load({"roles": "web,tcp", "db": "postgresql://h/d"}, {}).roles == ("web", "tcp")


def test_late_comes_before_down() -> None:
    assert "must be less than liveness.down_factor" in refusal({}, {"TASKDASH_LIVENESS__LATE_FACTOR": "3"})


def test_R159_secrets_are_not_shown_and_not_told_in_refusals() -> None:
    secret = "canary-5b1e"
    settings = load({"db": f"postgresql://u:{secret}@h/d"}, {"TASKDASH_TCP__TOKEN": secret, "TASKDASH_NSQ__AUTH": secret})
    shown = "\n".join(as_shown.lines(as_shown.shown(settings)))
    assert secret not in shown
    assert shown.count('"***"') == 3
    assert secret not in refusal({"db": f"mysql://u:{secret}@h/d"})


def test_every_setting_is_shown_with_where_it_came_from() -> None:
    lines = as_shown.lines(as_shown.shown(load({"http": "127.0.0.1:1"}, {})))
    assert len(lines) == len(keys())
    assert next(line for line in lines if line.startswith("http.listen")).endswith("# command line")


def test_the_page_of_settings_is_up_to_date() -> None:
    assert Path(settings_doc.PATH).read_text(encoding="utf-8") == settings_doc.page(), "run `make settings-doc`"


def test_settings_are_frozen() -> None:
    settings: Any = load({}, {})
    assert isinstance(settings, Settings)
    with pytest.raises(AttributeError):
        settings.db = "x"
