"""How large the scripted hour is: for every change, long (`LONG_FAULTS=1`), or of full load (`HOUR=3600`, its seconds).

The pauses between beats, claims, writes, faults and new connections are what a load is made of: nothing waits in them for an
outcome. Whatever must come about is waited for with `eventually` or `until`.
"""

import os

from msgspec import Struct, structs


class Scale(Struct, frozen=True, kw_only=True):
    """Beats a second are `services / interval_s`. Faults are repeated until `length_s` has passed, each once at least."""

    services: int
    interval_s: float
    tasks: int
    users: int
    claims_s: float
    fought_over: int
    """Tasks that all users claim."""
    writers: int
    writes_s: float
    """Register and Update of each writer."""
    watchers: int
    hold_s: tuple[float, float]
    """How long a fault lasts."""
    calm_s: float
    length_s: float


EVERY_CHANGE = Scale(
    services=120,
    interval_s=2.0,
    tasks=1_200,
    users=8,
    claims_s=8.0,
    fought_over=10,
    writers=4,
    writes_s=5.0,
    watchers=4,
    hold_s=(0.8, 2.0),
    calm_s=0.3,
    length_s=0.0,
)
LONG = Scale(
    services=500,
    interval_s=5.0,
    tasks=20_000,
    users=20,
    claims_s=10.0,
    fought_over=40,
    writers=4,
    writes_s=5.0,
    watchers=6,
    hold_s=(3.0, 18.0),
    calm_s=2.0,
    length_s=600.0,
)
HOUR = Scale(
    services=2_000,
    interval_s=10.0,
    tasks=100_000,
    users=20,
    claims_s=10.0,
    fought_over=100,
    writers=8,
    writes_s=5.0,
    watchers=10,
    hold_s=(5.0, 60.0),
    calm_s=5.0,
    length_s=3_600.0,
)


def scale() -> Scale:
    """As the environment asks."""
    if length := os.environ.get("HOUR"):
        return structs.replace(HOUR, length_s=float(length))
    return LONG if os.environ.get("LONG_FAULTS") else EVERY_CHANGE
