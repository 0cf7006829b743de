"""Storage that speaks the protocol of S3, on the loopback: moto's server with an empty bucket, and an environment that names it."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.util import find_spec

import pytest

BUCKET = "quarry-tests"
needs_storage = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("obstore", "moto", "boto3")), reason="needs the extras `scale` and `test`"
)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def endpoint():
    """A server of S3's protocol with an empty bucket, and an environment that names it."""
    import boto3

    port = free_port()
    address = f"http://127.0.0.1:{port}"
    names = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in names.items():
            patch.setenv(name, value)
        try:
            _wait(address)
            boto3.client("s3", endpoint_url=address, region_name="us-east-1").create_bucket(Bucket=BUCKET)
            yield address
        finally:
            server.terminate()
            server.wait(20)


def _wait(address: str) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{address}/moto-api/", timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            return
    pytest.skip("moto's server did not start within a minute")
