"""Workers as actors of Ray: on this machine or on the machines of a cluster."""

from __future__ import annotations

import logging
import os
import socket
import time
from dataclasses import dataclass
from typing import Any

from widthwise.core.arrays import IntArray
from widthwise.core.children import ONE_THREAD
from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.evaluators.workers.channel import NoMessageError
from widthwise.evaluators.workers.messages import pack_candidates
from widthwise.evaluators.workers.parts import Part
from widthwise.evaluators.workers.processes import FAILED_STARTS
from widthwise.evaluators.workers.worker import Build, Work
from widthwise.evaluators.workers.workers import Answer, Died, answer_of, start_of

PATIENCE = 5.0  # seconds between two looks at what the cluster has while nothing happens
LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
CONNECTING = 10.0  # seconds to reach a cluster

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Actor:
    """An actor and the answer that it owes: to being started, or to a part."""

    handle: Any
    pending: Any
    ready: bool = False
    part: Part | None = None


class RayWorkers:
    """Actors that each hold the evaluator of `build`: a CPU and `gpus` of a GPU (or several) each.

    address: "local" starts Ray here, for as long as the search lasts; else a cluster's, as "auto" or
    "ray://host:10001". jobs: how many; by default as many as fit, looked at again before every batch, so that
    machines may come and go. Without `gpus` each gets one if `use_gpus` and there are any. Messages are those
    of local processes.
    """

    def __init__(
        self,
        build: Build,
        *,
        address: str,
        jobs: int | None = None,
        gpus: float | None = None,
        use_gpus: bool = False,
    ) -> None:
        self._ray = import_ray(here=address == "local")
        if gpus is not None and not (0 <= gpus <= 1 or (gpus > 1 and float(gpus).is_integer())):
            raise UserError(f"gpus = {gpus:g}; give a share of one GPU, as 0.25, or a whole number of them")
        self._jobs = jobs
        self._own = not self._ray.is_initialized()
        if self._own:
            self._connect(address)
        if gpus is None:
            gpus = 1.0 if use_gpus and self._ray.cluster_resources().get("GPU", 0) else 0.0
        self._gpus = float(gpus)
        options = {
            "num_cpus": 1,
            "num_gpus": gpus,
            "runtime_env": {"env_vars": ONE_THREAD},
        }
        self._actor_class = self._ray.remote(**options)(Work)
        self._build = self._ray.put(build.packed())
        self._failed_starts = 0
        self._actors: list[Actor] = []
        self.refresh()
        if not self._actors:
            self.close()
            raise UserError(f"--ray {address}: has no machine that fits a worker (1 CPU, {gpus:g} GPUs)")

    @property
    def count(self) -> int:
        """How many there are, ready or not."""
        return max(len(self._actors), 1)

    def give(self, part: Part, candidates: IntArray) -> bool:
        """Hand a part's candidates to a free worker; False: none is free now."""
        for actor in self._actors:
            if actor.ready and actor.part is None:
                actor.pending = actor.handle.answer.remote(pack_candidates(candidates))
                actor.part = part
                return True
        return False

    def wait(self, seconds: float | None) -> list[Answer]:
        """What has become of parts since, after at most so many seconds."""
        busy = {actor.pending: actor for actor in self._actors if actor.pending is not None}
        patience = PATIENCE if seconds is None else min(seconds, PATIENCE)
        if not busy:  # all were lost, and there is no room for others yet
            time.sleep(patience)
            self.refresh()
            return []
        done, _ = self._ray.wait(list(busy), num_returns=1, timeout=patience)
        if done:  # and all others that are there as well
            done, _ = self._ray.wait(list(busy), num_returns=len(busy), timeout=0)
        else:
            self.refresh()
        answers = [self._answer(busy[reference]) for reference in done]
        return [answer for answer in answers if answer is not None]

    def drop(self, part: Part) -> None:
        """End the worker that has this part."""
        for actor in [actor for actor in self._actors if actor.part == part]:
            self._ray.kill(actor.handle)
            self._actors[self._actors.index(actor)] = self._start()

    def refresh(self) -> None:
        """As many workers as there are machines for now; those that died stay away."""
        wanted = self._jobs or self._fitting()
        while len(self._actors) < wanted:
            self._actors.append(self._start())

    def close(self) -> None:
        """End all, and Ray where it was started for this search."""
        while self._actors:
            self._ray.kill(self._actors.pop().handle)
        if self._own and self._ray.is_initialized():
            self._ray.shutdown()

    def _connect(self, address: str) -> None:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if address == "local":
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
            options |= {"include_dashboard": False, "num_cpus": self._jobs}
        elif address != "auto":
            check_reachable(address)
        try:
            self._ray.init(address=address, **options)
            found = self._ray.util.get_node_ip_address()
        except Exception as error:  # Ray raises nearly anything
            raise UserError(
                f"--ray {address}: {describe_error(error)}; give local, auto or ray://HOST:10001"
            ) from None
        if address == "local" and found != "127.0.0.1":
            logger.warning(
                "Ray listens on %s, where other machines may reach it, because it was imported before", found
            )

    def _fitting(self) -> int:
        """Workers that the machines there are can hold."""
        fitting = 0
        for node in self._ray.nodes():
            if node["Alive"]:
                room = int(node["Resources"].get("CPU", 0))
                if self._gpus:
                    share = node["Resources"].get("GPU", 0)
                    each = int(1 / self._gpus + 1e-9) * int(share) if self._gpus < 1 else share // self._gpus
                    room = min(room, int(each))
                fitting += room
        return fitting

    def _start(self) -> Actor:
        handle = self._actor_class.remote(self._build)
        return Actor(handle, handle.start.remote())

    def _answer(self, actor: Actor) -> Answer | None:
        """What a finished call brought; None where it was the start, or an idle worker died."""
        part, reference = actor.part, actor.pending
        actor.part = actor.pending = None
        try:
            message = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._lose(actor, error)
            return Answer(part, Died(f"was lost ({type(error).__name__})")) if part is not None else None
        try:
            if part is not None:
                return answer_of(part, message)
            failed = start_of(message)
        except NoMessageError as error:
            self._ray.kill(actor.handle)
            self._lose(actor, error)
            return Answer(part, Died("sent what is no answer")) if part is not None else None
        if failed is not None:
            raise UserError(f"a worker of Ray can't start: {failed.text}")
        actor.ready, self._failed_starts = True, 0
        return None

    def _lose(self, actor: Actor, error: Exception) -> None:
        """A worker died; another takes its place where there is room for one."""
        logger.warning("a worker of Ray was lost (%s)", type(error).__name__)
        self._actors.remove(actor)
        if not actor.ready:
            self._failed_starts += 1
            if self._failed_starts >= FAILED_STARTS:
                raise UserError(f"workers of Ray end while they start: {describe_error(error)}")
        self.refresh()


def check_reachable(address: str) -> None:
    """Raises UserError where nobody answers at the address: Ray itself would try for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise UserError(f"--ray {address}: is no address; give local, auto, HOST:6379 or ray://HOST:10001")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECTING).close()
    except (OSError, UnicodeError) as error:
        raise UserError(
            f"--ray {address}: can't be reached ({describe_error(error)}); start it with ray start --head"
        ) from None


def import_ray(*, here: bool = False) -> Any:
    """The package; UserError where it isn't installed.

    here: it is to be started on this machine alone, so it listens on the loopback address. It takes that from
    the environment when it is imported; the variable is named after systems where that is the default.
    """
    if here:
        os.environ.setdefault(LOOPBACK, "0")
    try:
        import ray
    except ImportError:
        raise UserError("--ray needs the package ray; install it: pip install 'widthwise[ray]'") from None
    return ray
