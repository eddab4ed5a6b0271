"""Where Poise finds and keeps things: one object, from the command line and the environment.

A value given on the command line comes first, then its environment variable, then the default.
docs/settings.md is the table of all of them.
"""

import json
import os
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import unquote

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from poise.runtime.errors import CatalogueError, DataError, SettingsError
from poise.runtime.text.files import read_text

#: The folder of the files of MLflow's runs, beside its database.
ARTIFACTS = "mlartifacts"
#: The home's own tracking store.
STORE = "mlflow.db"
_SQLITE = "sqlite:///"
#: Nobody guesses so many.
_SHORTEST_TOKEN = 16


def _home() -> Path:
    """Return ``.poise`` where the user stands.

    A Ray job runs in a throw-away copy of the working directory: there it is ``~/.poise``, so that
    its results outlive the job.
    """
    here = Path.cwd()
    return (Path.home() if "runtime_resources" in here.parts else here) / ".poise"


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


def _folder(path: Path) -> Path:
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file; name a folder")
    return _absolute(path)


def _data(given: str | Path) -> Path:
    if "://" not in str(given):
        return _folder(Path(given))
    from poise.runtime.remote_path import place  # which starts pyarrow

    return place(_without_query(str(given)))


def _without_query(text: str) -> str:
    """Refuse what names of files cannot be put after."""
    if "://" in text and "?" in text:
        raise ValueError(
            "leave out the query of the URI (?...): AWS_ENDPOINT_URL and AWS_DEFAULT_REGION name "
            "another S3 and its region"
        )
    return text


def _location(text: str) -> str:
    _without_query(text)
    return text if "://" in text else os.path.abspath(os.path.expanduser(text))


def _uri(text: str) -> str:
    if "://" not in text:
        raise ValueError(f"{text!r} is no URI; write http://{text or 'host:19530'}")
    return text


def _secret(text: str) -> str:
    if len(text) < _SHORTEST_TOKEN or not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError(
            f"a token is {_SHORTEST_TOKEN} characters or more, letters and digits; make one with "
            "python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return text


def _sqlite_uri(file: Path) -> str:
    # What SQLAlchemy takes for the end of the path, or for an escape; it reads all else as it is.
    return f"{_SQLITE}{str(file).replace('%', '%25').replace('?', '%3F')}"


def database(tracking_uri: str) -> Path | None:
    """Return the file of an sqlite store; None for a server."""
    if not tracking_uri.startswith(_SQLITE):
        return None
    return Path(unquote(tracking_uri.removeprefix(_SQLITE).partition("?")[0])).absolute()


def _split_path(given: Any) -> Any:
    return tuple(filter(None, given.split(os.pathsep))) if isinstance(given, str) else given


def _json_list(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given)
    except ValueError:
        raise ValueError("not a JSON list of TOML texts; Poise sets it for its workers") from None


class Settings(BaseSettings):
    """Everything that tells one installation of Poise from another; never changed once made.

    Paths are absolute. Nothing is created until somebody writes.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        # The variable of a setting, unless another program has named it.
        alias_generator=lambda name: f"POISE_{name.upper()}",
        populate_by_name=True,
        case_sensitive=True,
        env_ignore_empty=True,
    )

    home: Annotated[Path, AfterValidator(_folder)] = Field(
        default_factory=_home,
        description="folder in which Poise keeps what it makes: lake, PVD, sweeps, tracking store",
    )
    data: Annotated[Path, PlainValidator(_data)] | None = Field(
        None,
        description="folder or URI of the raw tracks, which holds poses/",
    )
    lake: Annotated[str, AfterValidator(_location)] = Field(
        default_factory=lambda known: str(known["home"] / "lake"),
        description="data lake, a folder or a URI such as s3://bucket/lake",
    )
    milvus_uri: Annotated[str, AfterValidator(_uri)] | None = Field(
        None,
        description="Milvus of the Pose Vector Database, such as http://milvus:19530",
    )
    cache: Annotated[Path, AfterValidator(_absolute)] | None = Field(
        None,
        description="folder on a node's own disk for copies of what the lake holds",
    )
    cache_gb: Annotated[float, Field(ge=0)] = Field(
        20.0,
        description="how much that folder may take, in GB; what was not used for longest goes",
    )
    tracking_uri: str = Field(
        default_factory=lambda known: _sqlite_uri(known["home"] / STORE),
        validation_alias="MLFLOW_TRACKING_URI",
        description="MLflow's tracking store and model registry",
    )
    smpl: Annotated[Path, AfterValidator(_absolute)] | None = Field(
        None,
        description="folder of SMPL_NEUTRAL.pkl, or the file: joints of SMPL tracks, errors in mm",
    )
    datasets: Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_split_path)] = Field(
        (),
        description="TOML files of your own data sets, or folders of them, separated as in PATH",
    )
    datasets_toml: Annotated[tuple[str, ...] | None, NoDecode, BeforeValidator(_json_list)] = Field(
        None,
        description="the texts of those files as a JSON list: how they reach Ray workers",
    )
    token: Annotated[str, AfterValidator(_secret)] | None = Field(
        None,
        repr=False,
        description="what clients of the service must show; needed where it is open to a network",
    )
    commit: str | None = Field(
        None,
        description="git commit of the code, recorded with a sweep where there is no checkout",
    )
    ray_address: str | None = Field(
        None,
        validation_alias="RAY_ADDRESS",
        description="Ray cluster to join; `ray job submit` sets it",
    )

    @classmethod
    def load(cls, **given: Any) -> Self:
        """Read the environment, under what is given; None stands for "not given".

        Raises:
            SettingsError: a value cannot be used; the message names the variable or option.
        """
        try:
            return cls(**{name: value for name, value in given.items() if value is not None})
        except ValidationError as error:
            raise SettingsError(_first_problem(error)) from None

    @classmethod
    def current(cls) -> "Settings":
        """Return the settings of this process, as its environment has them now.

        Raises:
            SettingsError: as `load`.
        """
        values = tuple(os.environ.get(variable) for variable in VARIABLES.values())
        return _current(values, os.getcwd())

    @classmethod
    def use(cls, **given: Any) -> Self:
        """Load, and make these the settings of this process and of those it starts."""
        settings = cls.load(**given)
        for name in ("home", *settings.model_fields_set - {"datasets", "datasets_toml"}):
            os.environ[VARIABLES[name]] = str(getattr(settings, name))
        return settings

    @property
    def pvd(self) -> Path:
        """Data of the embedded Milvus server."""
        return self.home / "pvd"

    @property
    def sweeps(self) -> str:
        """One folder a plan: trial records, training states, tables."""
        return str(self.home / "sweeps")

    @property
    def artifacts(self) -> str | None:
        """Where the home's own tracking store keeps artifacts; None leaves it to a server."""
        return str(self.home / ARTIFACTS) if self.tracking_uri.startswith("sqlite:") else None

    def dataset_texts(self) -> tuple[tuple[str, str], ...]:
        """Return where each description of a user's own data set is from, and its TOML text.

        On a Ray worker they are the texts its driver sent, else those of ``$POISE_DATASETS`` and
        ``<home>/datasets``.

        Raises:
            CatalogueError: a file is missing or cannot be read.
        """
        if self.datasets_toml is not None:
            variable = VARIABLES["datasets_toml"]
            return tuple((f"{variable}[{i}]", text) for i, text in enumerate(self.datasets_toml))
        named = [path.expanduser() for path in self.datasets]
        for path in named:
            if not path.exists():
                raise CatalogueError(f"{VARIABLES['datasets']} names {path}, which is not there")
        return tuple(
            (str(path), _text(path)) for path in _toml_files([*named, self.home / "datasets"])
        )

    def worker_env(self) -> dict[str, str]:
        """Return the environment that Ray workers need to find what this process finds.

        Raises:
            CatalogueError: see `dataset_texts`.
        """
        given = self.model_fields_set & {"smpl", "cache", "cache_gb"}
        env = {VARIABLES[name]: str(getattr(self, name)) for name in sorted(given)}
        texts = [text for _, text in self.dataset_texts()]
        if texts or self.datasets_toml is not None:
            env[VARIABLES["datasets_toml"]] = json.dumps(texts)
        return env


#: What is in a home besides the lake, one or more.
MARKS = ("pvd", "sweeps", STORE)
#: The environment variable of each setting.
VARIABLES = {name: str(field.validation_alias) for name, field in Settings.model_fields.items()}


@lru_cache(maxsize=16)
def _current(values: tuple[str | None, ...], cwd: str) -> Settings:
    return Settings.load()


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    name, message = str(problem["loc"][0]), problem["msg"].removeprefix("Value error, ")
    if name in Settings.model_fields:  # given by hand, not by its variable
        name = "--" + name.replace("_", "-")
    return f"{name}: {message}"


def misspelt() -> list[tuple[str, str]]:
    """Return variables that nobody reads but that look like one of Poise's, and that one."""
    known = [name for name in VARIABLES.values() if name.startswith("POISE_")]
    given = [name for name in os.environ if name.upper().startswith("POISE_")]
    found = [(name, get_close_matches(name.upper(), known, 1, 0.8)) for name in given]
    return [(name, near[0]) for name, near in found if near and name not in known]


def _toml_files(places: Iterable[Path]) -> list[Path]:
    found = [
        path.resolve()
        for place in places
        for path in (sorted(place.glob("*.toml")) if place.is_dir() else [place])
        if path.is_file()
    ]
    return list(dict.fromkeys(found))


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except DataError as error:
        raise CatalogueError(str(error)) from None
