"""Rules between settings. Each raises StartRefused (exit 2) with one sentence that names the setting (SPEC 9)."""

from taskdash.errors import StartRefused
from taskdash.settings.model import Settings
from taskdash.settings.values import ROLES

SECRET_CHARACTERS = 16
"""Thousands of guesses a second can be tried on a port: what other machines reach needs a secret that is not guessed."""


def check(settings: Settings) -> None:
    """All of them."""
    _check_roles(settings)
    _check_listeners(settings)
    _check_tls(settings)
    if settings.liveness.late_factor >= settings.liveness.down_factor:
        _refuse(settings, "liveness.late_factor", "must be less than liveness.down_factor")


def _check_roles(settings: Settings) -> None:
    if not settings.roles:
        _refuse(settings, "roles", f"must name at least one of {', '.join(ROLES)}")
    if set(settings.roles) != set(ROLES) and not settings.db:
        _refuse(settings, "roles", "must name all roles unless db is a PostgreSQL url: one process owns the embedded database")


def _check_listeners(settings: Settings) -> None:
    """What others can reach asks who they are, unless `insecure` says otherwise (RELIABILITY 6)."""
    if settings.insecure:
        return
    listeners = [("tcp.listen", settings.tcp.listen, "tcp.token", settings.tcp.token)]
    if not settings.is_cluster:
        listeners += [
            ("nsq_listen", settings.nsq_listen, "nsq.auth", settings.nsq.auth),
            ("nsq_http_listen", settings.nsq_http_listen, "nsq.auth", settings.nsq.auth),
        ]
    for name, address, secret_name, secret in listeners:
        if not address.is_loopback and not secret:
            reason = (
                f"is {address}, which other machines can reach without authentication: set {secret_name}, or say --insecure"
            )
            _refuse(settings, name, reason)
        if not address.is_loopback and len(secret) < SECRET_CHARACTERS:
            reason = f"must have at least {SECRET_CHARACTERS} characters: other machines can reach {address} and guess it"
            _refuse(settings, secret_name, reason)


def _check_tls(settings: Settings) -> None:
    if bool(settings.nsq.tls_cert) != bool(settings.nsq.tls_key):
        _refuse(settings, "nsq.tls_cert", "and nsq.tls_key must be given together")


def _refuse(settings: Settings, name: str, reason: str) -> None:
    raise StartRefused(f"setting {name} {reason} ({settings.origins.get(name, 'default')})", 2)
