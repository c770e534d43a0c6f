"""trueline serve"""

from __future__ import annotations

import getpass
import os
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trueline.cli.output import ProjectOption, say
from trueline.errors import InputError

if TYPE_CHECKING:
    from socket import socket

    from trueline.serving.opening import Wanted

LOCAL = ("localhost", "127.0.0.1", "[::1]", "::1")
HOSTS = ("localhost", "127.0.0.1", "[::1]")
ROOM = 512  # tokens of an answer on the chat page, where no project says how many


def serve(
    project: ProjectOption = Path(),
    host: Annotated[str, typer.Option(help="The address to listen on; beyond this machine, people need accounts.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="The port; 0: any free one.")] = 8765,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="`trueline worker` runs elsewhere, or never.")] = False,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Serve a run's policy or a model's folder over an OpenAI-compatible API; may be repeated."),
    ] = None,
    reward: Annotated[
        str,
        typer.Option(help="With --model: a model under rewards/, or a run, for its own, that explains and chooses."),
    ] = "",
    show_labels: Annotated[
        bool, typer.Option("--show-labels", help="With --reward: who asks why may read the labels' texts and people.")
    ] = False,
    best_of: Annotated[int, typer.Option(min=1, max=32, help="Draw so many answers, give the best by --reward.")] = 1,
    rules: Annotated[
        Path | None, typer.Option(help="The gate's rules, those that are unsafe to break; evaluate.rules if not given.")
    ] = None,
    gate: Annotated[str, typer.Option(help="A model under rewards/ by which the gate tells bad answers.")] = "",
    most_bad: Annotated[float, typer.Option(min=0, max=1, help="An answer with a higher P(bad) is refused.")] = 0.5,
    no_gate: Annotated[bool, typer.Option("--no-gate", help="Check nothing; every response says so.")] = False,
    slots: Annotated[int, typer.Option(min=1, max=256, help="Answers that are drawn at once.")] = 16,
    rate: Annotated[int, typer.Option(min=1, help="Requests a minute of one API key.")] = 600,
    no_page: Annotated[
        bool, typer.Option("--no-page", help="With --model: only the API; no chat page, and no base policy beside it.")
    ] = False,
    watermark: Annotated[
        Path | None, typer.Option(help="With --model: mark every answer by this key (`trueline watermark new-key`).")
    ] = None,
    new_key: Annotated[str, typer.Option(help="Make an API key for somebody of this name, print it, and end.")] = "",
) -> None:
    """Open the labelling pages: label, chat, review, quality, data, people. Unjudged answers come into the queue.
    With --model: serve a policy over an OpenAI-compatible API, with a chat page.
    """
    if new_key:
        from trueline.serving.keys import new_key as make
        from trueline.serving.opening import keys_file

        path = keys_file(project)
        say(f"{make(path, new_key)}\nis {new_key}'s, and shown this once; {path} has its hash")
    elif model:
        from trueline.serving.opening import Wanted

        wanted = Wanted(model, reward, best_of, gate, rules, most_bad, not no_gate, slots, show_labels, watermark)
        _serve_models(wanted, project, host, port, rate, with_page=not no_page)
    elif reward or show_labels or best_of > 1 or rules or gate or no_gate or no_page or watermark:
        raise InputError(
            "--reward, --show-labels, --best-of, --rules, --gate, --no-gate, --no-page and --watermark go with "
            "--model; name one"
        )
    else:
        _serve_pages(project, host, port, no_browser, no_worker)


def _serve_models(wanted: Wanted, project: Path, host: str, port: int, rate: int, *, with_page: bool) -> None:
    from contextlib import ExitStack
    from dataclasses import replace

    from trueline import config as settings
    from trueline.config import Config
    from trueline.feedback.store import FeedbackStore
    from trueline.serving.api import Server, create_app
    from trueline.serving.chat import Page, routes
    from trueline.serving.chat_models import columns
    from trueline.serving.feedback import Keeping
    from trueline.serving.keys import Keys, Rate
    from trueline.serving.opening import describe, keys_file, open_models
    from trueline.serving.why_routes import routes as why_routes

    file = project / settings.FILE_NAME
    config = settings.load(file) if file.exists() else Config()
    keys = Keys(keys_file(project))
    if host not in LOCAL and not keys.names:
        raise InputError(f"{keys.path}: no API keys, which {host} needs; make one with `trueline serve --new-key NAME`")
    listening = _listen(host, port)
    models = open_models(wanted, project, config)
    side_by_side = columns(models, wanted, project, config) if with_page else ()
    for served in models.values():
        say(describe(served))
    guarded = bool(keys.names)
    server = Server(models, keys if guarded else None, Rate(rate), () if guarded else HOSTS)
    server = replace(server, extra=why_routes(server))
    address = f"http://{_named(host)}:{listening.getsockname()[1]}"
    say(f"OpenAI-compatible API, {'with' if guarded else 'without'} API keys:\n  {address}/v1")
    with ExitStack() as stack:
        if with_page:
            keeping = None
            if file.exists():
                store = stack.enter_context(FeedbackStore.open(settings.store_place(project, config)))
                keeping = Keeping(store, config.project.dimensions)
            kept = "is kept with consent" if keeping else "is not kept: there is no project here"
            say(f"Chat page ({' beside '.join(side_by_side)}); feedback {kept}:\n  {address}/")
            page = Page(side_by_side, config.policy.max_new_tokens if file.exists() else ROOM, keeping)
            server = replace(server, extra=[*server.extra, *routes(server, page)])
        say("Ctrl-C ends the server.")
        _run(create_app(server), listening, timeout_graceful_shutdown=5)


def _serve_pages(project: Path, host: str, port: int, no_browser: bool, no_worker: bool) -> None:
    import subprocess
    import sys

    from trueline import config as settings
    from trueline.feedback.labelling.items import add_items, unjudged
    from trueline.feedback.store import FeedbackStore
    from trueline.web.app import create_app
    from trueline.web.site import Site

    config = settings.load(project / settings.FILE_NAME)
    local = host in LOCAL
    with FeedbackStore.open(settings.store_place(project, config)) as store:
        site = Site(store, config, project, local, HOSTS if local else ())
        person = getpass.getuser()
        site.accounts.ensure(person, "admin")
        queued = add_items(store, unjudged(store), config.labelling.judgements)
        listening = _listen(host, port)
        port = listening.getsockname()[1]
        address = f"http://{_named(host)}:{port}/sign-in?token={site.accounts.login_link(person)}"
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
            _run(create_app(site), listening)
        finally:
            if worker is not None:
                worker.terminate()
                worker.wait()


def _listen(host: str, port: int) -> socket:
    """A socket that is bound. InputError: the port is taken."""
    import socket

    # The protocol must be named: else asyncio leaves Nagle's delay on, 40 ms an answer.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host.strip("[]"), port))
    except OSError as error:
        raise InputError(f"port {port} on {host} cannot be had ({error.strerror}); choose another --port") from error
    return listening


def _named(host: str) -> str:
    return "127.0.0.1" if host in LOCAL or host == "0.0.0.0" else host


def _run(app: Any, listening: socket, **settings: Any) -> None:
    import uvicorn

    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, **settings)).run([listening])
