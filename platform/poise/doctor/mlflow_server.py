"""Questions to an MLflow server over HTTP, without MLflow's library, which takes seconds."""

import json
import os
import time
from typing import Any

import requests

from poise.doctor.clock import skew_s
from poise.runtime.errors import PoiseError, in_short

_PATIENCE_S = (2.0, 3.0)
_API = "api/2.0/mlflow"
#: What a server says that was given another name than the one by which it is asked, and we then.
_OTHER_HOST, NOT_ITSELF = "Invalid Host header", "it does not know itself by this address"


class NoAnswerError(PoiseError):
    """A server does not answer, or not what it should.

    Attributes:
        code: of its answer; 0 where there was none.
    """

    def __init__(self, said: str, code: int = 0) -> None:
        super().__init__(said)
        self.code = code


class MlflowServer:
    """An MLflow server, asked with the name and the token of the environment.

    Attributes:
        ahead_s: how far its clock is from ours by its last answer; None where that said nothing.
    """

    def __init__(self, uri: str) -> None:
        self._root = uri.rstrip("/")
        self._session = requests.Session()
        user = os.environ.get("MLFLOW_TRACKING_USERNAME")
        if user:
            self._session.auth = (user, os.environ.get("MLFLOW_TRACKING_PASSWORD", ""))
        token = os.environ.get("MLFLOW_TRACKING_TOKEN")
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"
        self._session.verify = os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() not in (
            "1",
            "true",
        )
        self.ahead_s: float | None = None

    def text(self, path: str, method: str = "GET", **given: Any) -> str:
        """Return the text of an answer.

        Raises:
            NoAnswerError: there is none in time, or it says that something is wrong.
        """
        asked = time.time()
        try:
            answer = self._session.request(
                method, f"{self._root}/{path}", timeout=_PATIENCE_S, **given
            )
        except (requests.RequestException, UnicodeError) as error:
            by_proxy = isinstance(error, requests.exceptions.ProxyError)
            said = "the proxy that is asked for it does not answer" if by_proxy else in_short(error)
            raise NoAnswerError(said) from None
        self.ahead_s = skew_s(answer.headers.get("Date"), asked)
        if not answer.ok:
            raise NoAnswerError(_told(answer), answer.status_code)
        return answer.text

    def get(self, path: str, /, **params: Any) -> dict[str, Any]:
        """Return what the API answers to a question; raises what `text` raises."""
        return self._values("GET", path, params=params)

    def post(self, path: str, /, **content: Any) -> dict[str, Any]:
        """Have the API do something; raises what `text` raises."""
        return self._values("POST", path, json=content)

    def _values(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        try:
            values = json.loads(self.text(f"{_API}/{path}", method, **given) or "{}")
        except ValueError:
            raise NoAnswerError("its answer is no JSON") from None
        return values if isinstance(values, dict) else {}


def _told(answer: requests.Response) -> str:
    if _OTHER_HOST in answer.text:
        return NOT_ITSELF
    try:
        said = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        said = answer.reason
    return f"{answer.status_code}: {in_short(Exception(said))}"
