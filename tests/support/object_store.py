"""An S3 on loopback: its address is known before it runs, so that Ray's workers can be told."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.support.ports import reserved_port

_HOLDER, _PORT = reserved_port()
#: The environment of whoever wants to reach it.
ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",  # pragma: allowlist secret
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ENDPOINT_URL": f"http://127.0.0.1:{_PORT}",
}


@contextmanager
def serving() -> Iterator[None]:
    """Run it, and give this process an account there, until the block ends."""
    from moto.server import ThreadedMotoServer  # takes a second, and Ray wants only the account

    # Its lines would be among what a command of this process prints.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)

    server = ThreadedMotoServer("127.0.0.1", _PORT, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ACCOUNT.items():
            patch.setenv(name, value)
        yield
    server.stop()


def new_bucket(name: str) -> str:
    """Make a bucket; return its URI."""
    import boto3  # type: ignore[import-untyped]

    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}"
