"""One ministack: a process of its own on 127.0.0.1, with a certificate, a log and callers.

Everything it is told comes through its environment, so that nothing of the machine's own AWS
settings reaches it or the functions that it starts.
"""

import datetime
import ipaddress
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request
import ssl

import boto3
import botocore.config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HERE = pathlib.Path(__file__).parent
REGION = "eu-central-1"
# Whoever signs with this key is the account's root: ministack lets it do anything, so it
# deploys, and is used for nothing that is being proved.
ROOT = ("test", "test")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def certificate(folder):
    """A certificate for this run, and its key. Who trusts the one file trusts nothing else."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ministack of one run")])
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    usage = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(usage, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(private)
    return paths


class Ministack:
    """A running ministack; a `with` block ends it."""

    def __init__(self, folder):
        self.folder = folder
        self.log = folder / "ministack.log"
        self.port = free_port()
        self.endpoint = f"https://127.0.0.1:{self.port}"
        self.certificate, self._key = certificate(folder)
        self._process = None

    def __enter__(self):
        temporary = self.folder / "ministack"
        temporary.mkdir()
        # `LETHE_*` comes from the template alone; HOME would bring the machine's profiles.
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(temporary),
            "TMPDIR": str(temporary),
            "AUTH": "true",
            "AWS_ACCESS_KEY_ID": ROOT[0],
            "AWS_SECRET_ACCESS_KEY": ROOT[1],
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self.endpoint,
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_REGION": REGION,
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            # What the functions trust.
            "AWS_CA_BUNDLE": str(self.certificate),
        }
        command = [sys.executable, str(HERE / "serve.py"), str(self.port), str(self.certificate), str(self._key)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, env=environment, cwd=temporary, stdout=log, stderr=log)
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def _wait(self):
        trust = ssl.create_default_context(cafile=self.certificate)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"ministack ended with {self._process.returncode} before it answered")
            try:
                with urllib.request.urlopen(f"{self.endpoint}/_ministack/health", context=trust, timeout=5):
                    return
            except OSError:
                time.sleep(0.3)
        raise RuntimeError("ministack does not answer")

    def keep_the_logs(self):
        """Writes what the functions have logged beside ministack's own log: where it is."""
        logs = self.client("logs")
        kept = self.folder / "functions.log"
        with kept.open("w") as out:
            for group in logs.describe_log_groups()["logGroups"]:
                name = group["logGroupName"]
                for page in logs.get_paginator("filter_log_events").paginate(logGroupName=name):
                    out.writelines(f"{it['message'].rstrip()}\n" for it in page["events"])
        return kept

    def stop(self):
        """Ends the process, and with it the functions that it has started."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def variables(self, credentials):
        """The AWS SDKs' own variables, for a process that is to work here as this caller."""
        return {
            "AWS_ACCESS_KEY_ID": credentials[0],
            "AWS_SECRET_ACCESS_KEY": credentials[1],
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SSL_CERT_FILE": str(self.certificate),
        }

    def client(self, service, credentials=ROOT):
        return self.session(credentials).client(
            service,
            endpoint_url=self.endpoint,
            verify=str(self.certificate),
            config=botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=330),
        )

    def session(self, credentials=ROOT):
        return boto3.Session(*credentials, region_name=REGION)
