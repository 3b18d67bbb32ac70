"""How each program of a cluster is run: its command line and its ports, and nothing that acts."""

import random
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from tools.cluster.process import HOST, Process

TOPICS = ("taskdash.services", "taskdash.heartbeats")
Between = Callable[[str, int], int]
"""Which port TaskDash is told instead, given what listens there and where: room for a proxy."""


class Lookupd(Process):
    """nsqlookupd. `tcp`: where nsqd nodes register, `http`: where TaskDash asks."""

    def __init__(self, folder: Path, tcp: int, http: int) -> None:
        self.tcp, self.http = tcp, http
        command = [".tools/nsqlookupd", f"-tcp-address={HOST}:{tcp}", f"-http-address={HOST}:{http}"]
        super().__init__("nsqlookupd", command, folder, f"http://{HOST}:{http}/ping")


class Nsqd(Process):
    """An nsqd with the flags of deploy/: nothing waits in memory, and it syncs often. `told`: its port for consumers."""

    def __init__(self, name: str, folder: Path, tcp: int, http: int, told: int, lookupd: Lookupd) -> None:
        self.tcp, self.http, self.told = tcp, http, told
        kept = folder / name
        kept.mkdir(exist_ok=True)
        command = [
            ".tools/nsqd",
            f"-tcp-address={HOST}:{tcp}",
            f"-http-address={HOST}:{http}",
            f"-broadcast-address={HOST}",
            f"-broadcast-tcp-port={told}",
            f"-lookupd-tcp-address={HOST}:{lookupd.tcp}",
            f"-data-path={kept}",
            "-mem-queue-size=0",
            "-sync-every=100",
            "-sync-timeout=100ms",
        ]
        super().__init__(name, command, folder, f"http://{HOST}:{http}/ping")


class Instance(Process):
    """One `taskdash serve`. `http`, `tcp`: its ports."""

    def __init__(self, name: str, folder: Path, http: int, tcp: int, *options: str) -> None:
        self.http, self.tcp = http, tcp
        command = [
            *(sys.executable, "-m", "taskdash.cli", "serve"),
            *(f"--http={HOST}:{http}", f"--tcp={HOST}:{tcp}", f"--data-dir={folder / name}"),
            *options,
        ]
        super().__init__(name, command, folder, f"{self.url(http)}/healthz")

    def url(self, http: int = 0) -> str:
        """Where its pages and API are."""
        return f"http://{HOST}:{http or self.http}"

    @property
    def sign_in(self) -> str:
        """The first sign-in as it was told at the first start, empty on a store that has people."""
        told = [line for line in self.output.read_text().splitlines() if line.startswith("sign-in: ")]
        return told[-1].removeprefix("sign-in: ") if told else ""


def free_port(wanted: int) -> int:
    """That port, or another one when somebody listens there: below those that the system itself gives to who connects, for one
    of these may be gone before it is used."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((HOST, wanted))
        except OSError:
            return free_port(random.randrange(10_000, 32_000))  # noqa: S311  (no secret)
        return int(one.getsockname()[1])
