"""Where Poise keeps what it makes: lake, PVD, sweeps and tracking store under one home."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Workspace:
    """The folders of one home; nothing is created until somebody writes."""

    home: Path

    @classmethod
    def find(cls, home: str | Path | None = None) -> Self:
        """The given home, else ``$POISE_HOME``, else ``.poise`` where the user stands.

        A Ray job runs in a throw-away copy of the working directory: there the last resort is
        ``~/.poise``, so that its results outlive the job.
        """
        chosen = home or os.environ.get("POISE_HOME")
        if chosen is None:
            here = Path.cwd()
            chosen = (Path.home() if "runtime_resources" in here.parts else here) / ".poise"
        return cls(Path(chosen).expanduser().absolute())

    @classmethod
    def use(cls, home: str | Path | None = None) -> Self:
        """Find the home and make it the one of this process, and of those it starts."""
        workspace = cls.find(home)
        os.environ["POISE_HOME"] = str(workspace.home)
        return workspace

    @property
    def lake(self) -> Path:
        """Parquet tracks (design: data lake)."""
        return self.home / "lake"

    @property
    def pvd(self) -> Path:
        """Data of the embedded Milvus server."""
        return self.home / "pvd"

    @property
    def sweeps(self) -> Path:
        """One folder a plan: trial records, training states, tables."""
        return self.home / "sweeps"

    @property
    def tracking_uri(self) -> str:
        """``$MLFLOW_TRACKING_URI``, else an sqlite store under the home."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.home / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path:
        """Artifacts of the embedded tracking store."""
        return self.home / "mlartifacts"
