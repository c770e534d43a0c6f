"""trueline serve"""

from __future__ import annotations

import getpass
import os
import threading
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from trueline.cli.output import ProjectOption, say

LOCAL = ("localhost", "127.0.0.1", "[::1]", "::1")


def serve(
    project: ProjectOption = Path(),
    host: Annotated[str, typer.Option(help="The address to listen on; beyond this machine, people need accounts.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="The port; 0: any free one.")] = 8765,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="`trueline worker` runs elsewhere, or never.")] = False,
) -> None:
    """Open the labelling pages: label, chat, review, quality, data, people. Unjudged answers come into the queue."""
    import socket
    import subprocess
    import sys

    import uvicorn

    from trueline import config as settings
    from trueline.errors import InputError
    from trueline.feedback.labelling.items import add_items, unjudged
    from trueline.feedback.store import FeedbackStore
    from trueline.web.app import create_app
    from trueline.web.site import Site

    config = settings.load(project / settings.FILE_NAME)
    local = host in LOCAL
    with FeedbackStore.open(settings.store_place(project, config)) as store:
        site = Site(store, config, project, local, ("localhost", "127.0.0.1", "[::1]") if local else ())
        person = getpass.getuser()
        site.accounts.ensure(person, "admin")
        queued = add_items(store, unjudged(store), config.labelling.judgements)
        # The protocol must be named: else asyncio leaves Nagle's delay on, 40 ms an answer.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host.strip("[]"), port))
        except OSError as error:
            raise InputError(
                f"port {port} on {host} cannot be had ({error.strerror}); choose another --port"
            ) from error
        port = listening.getsockname()[1]
        named = "127.0.0.1" if local or host == "0.0.0.0" else host
        address = f"http://{named}:{port}/sign-in?token={site.accounts.login_link(person)}"
        if queued:
            say(f"{queued} new items are in the queue")
        say(
            f"labelling pages of {project.resolve().name}, signed in as {person}:\n  {address}\nCtrl-C ends the server."
        )
        if not no_browser:
            threading.Timer(0.5, webbrowser.open, (address,)).start()
        command = [sys.executable, "-m", "trueline", "worker", "--project", str(project), "--parent", str(os.getpid())]
        worker = None if no_worker else subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            uvicorn.Server(uvicorn.Config(create_app(site), log_level="warning", access_log=False)).run([listening])
        finally:
            if worker is not None:
                worker.terminate()
                worker.wait()
