"""Where the workers of a trial meet: torch's default process group."""

from dataclasses import dataclass
from datetime import timedelta

import ray
from torch import distributed
from torch.distributed import TCPStore  # type: ignore[attr-defined]  # public, not in __all__

from poise_models.base.team import Team

#: A worker that says nothing for so long while others wait in a step is given up.
_PATIENCE = timedelta(minutes=10)


@dataclass(frozen=True)
class Meeting:
    """A place that all workers of a trial reach, on the first one's machine."""

    host: str
    port: int
    device: str

    def join(self, team: Team, store: TCPStore | None = None) -> None:
        """Join the others, the first with the store that it opened; returns when all are there."""
        backend = "gloo" if self.device == "cpu" else "nccl"
        store = store or TCPStore(self.host, self.port, is_master=False, timeout=_PATIENCE)
        distributed.init_process_group(
            backend, store=store, rank=team.rank, world_size=team.size, timeout=_PATIENCE
        )


def open_meeting(device: str) -> tuple[Meeting, TCPStore]:
    """Open a place to meet on this machine; whoever keeps the store keeps it open."""
    host = ray.util.get_node_ip_address()
    store = TCPStore(host, 0, is_master=True, wait_for_workers=False, timeout=_PATIENCE)
    return Meeting(host, store.port, device), store


def leave() -> None:
    """Leave, so that whoever waits for this process knows; nothing where it has not joined."""
    if distributed.is_initialized():
        distributed.destroy_process_group()
