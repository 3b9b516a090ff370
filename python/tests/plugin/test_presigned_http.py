"""Covalent's own transfers by presigned URLs of a real S3 server: it parses and writes URLs anew, with furl."""

import os
import socket
import subprocess
import time

import boto3
import pytest
from botocore.config import Config
from covalent._file_transfer.file import File
from covalent._file_transfer.file_transfer import FileTransfer

PROGRAM = os.environ.get("TASKGROUP_TEST_S3_SERVER", "")
pytestmark = pytest.mark.skipif(not PROGRAM, reason="TASKGROUP_TEST_S3_SERVER names no S3 server")


@pytest.fixture
def client(tmp_path):
    """A client of an S3 server with an empty bucket, tmp_path/data/bucket."""
    (tmp_path / "data/bucket").mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = probe.getsockname()
    server = subprocess.Popen(
        [PROGRAM, "--quiet", "--port", f"127.0.0.1:{address[1]}", "posix", str(tmp_path / "data")],
        env={"ROOT_ACCESS_KEY": "AKIATEST", "ROOT_SECRET_KEY": "hunter2CANARY", "HOME": str(tmp_path)},
    )
    try:
        deadline = time.monotonic() + 20
        while True:
            with socket.socket() as attempt:
                if attempt.connect_ex(address) == 0:
                    break
            assert time.monotonic() < deadline
            assert server.poll() is None
        yield boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{address[1]}",
            aws_access_key_id="AKIATEST",
            aws_secret_access_key="hunter2CANARY",
            region_name="us-east-1",
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize("key", ["team/function-0", "with space/a b", "signs/a+b~c=d", "größe"])
def test_uploads_and_downloads(client, tmp_path, key):
    wanted = {"Bucket": "bucket", "Key": key}
    put, get = (client.generate_presigned_url(verb, Params=wanted) for verb in ("put_object", "get_object"))
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.write_bytes(b"function")
    _, transfer = FileTransfer(File(str(ours)), File(put, is_remote=True)).cp()
    transfer()
    assert (tmp_path / "data/bucket" / key).read_bytes() == b"function"
    _, transfer = FileTransfer(File(get, is_remote=True), File(str(theirs))).cp()
    transfer()
    assert theirs.read_bytes() == b"function"
