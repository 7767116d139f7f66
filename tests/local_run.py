"""Builds, starts and stops a local run, for the checks that talk to it from outside."""

import json
import subprocess
import sys
import time
from pathlib import Path


def build(profile):
    """Builds the local run; its program."""
    # Of the whole workspace, with the features that a build of everything has: then it is there.
    command = ["cargo", "build", "--workspace", "--bin", "lethe-local", "--profile", profile]
    built = subprocess.run(
        [*command, "--message-format", "json-render-diagnostics"],
        cwd=Path(__file__).parent, check=True, stdout=subprocess.PIPE,
    )
    messages = map(json.loads, built.stdout.splitlines())
    return next(it["executable"] for it in messages if it.get("executable"))


def start(program, data):
    """Starts the local run; the process, and what it seeded."""
    with open(data / "log", "wb") as log:
        command = [program, "--memory", "--port", "0", "--data", data]
        server = subprocess.Popen(command, stdout=log, stderr=log)
    demo = data / "demo.json"
    for _ in range(600):
        if demo.exists():
            return server, json.loads(demo.read_text())
        if server.poll() is not None:
            break
        time.sleep(0.2)
    stop(server)
    sys.exit(f"the local run did not start:\n{(data / 'log').read_text()}")


def stop(server):
    server.terminate()
    server.wait()
