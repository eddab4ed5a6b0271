"""S3, asked whether it answers before anybody waits for it: its clients try for minutes."""

import os
import time
from dataclasses import dataclass
from typing import Self

import requests

from poise.doctor.clock import clock_finding, skew_s
from poise.doctor.finding import Finding
from poise.runtime.errors import in_short

_ASK_S = 2.5


def endpoint(uri: str) -> str:
    """Return the address behind an ``s3://`` URI; empty for any other place."""
    if not uri.startswith("s3://"):
        return ""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    return os.environ.get("AWS_ENDPOINT_URL") or f"https://s3.{region}.amazonaws.com"


def answers(uri: str) -> bool:
    """Say whether a place can be asked: whether S3 answers, where it is there."""
    where = endpoint(uri)
    return not where or S3.asked(where).answers


@dataclass(frozen=True)
class S3:
    """What an endpoint said.

    Attributes:
        answers: whether it said anything.
        why: it did not.
        ahead_s: how far its clock is from ours.
    """

    where: str
    answers: bool
    why: str = ""
    ahead_s: float | None = None

    @classmethod
    def asked(cls, where: str) -> Self:
        """Ask it, as nobody in particular: any answer will do."""
        asked = time.time()
        try:
            answer = requests.head(where, timeout=_ASK_S)
        except (requests.RequestException, UnicodeError) as error:
            return cls(where, answers=False, why=in_short(error))
        return cls(where, answers=True, ahead_s=skew_s(answer.headers.get("Date"), asked))

    def finding(self, of: str) -> Finding:
        """Say whether it answers, and how far its clock is off."""
        if self.answers:
            return clock_finding(f"{of}.clock", {f"the storage at {self.where}": self.ahead_s})
        return Finding(
            f"{of}.readable",
            "failed",
            f"the storage at {self.where} does not answer ({self.why})",
            "look at AWS_ENDPOINT_URL (for a server of your own), AWS_DEFAULT_REGION, and proxies",
        )
