"""brats-cascade serve: serves a network over HTTP."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from brats_cascade.commands.options import PATH
from brats_cascade.errors import UserError


def run(
    model: Annotated[
        str | None, Option(help="A folder models/EXPERIMENT, or an MLflow URI (default: the champion).")
    ] = None,
    cases: Annotated[
        Path | None, Option(help="Folder of the cases that requests may name; without it, only images.", **PATH)
    ] = None,
    host: Annotated[str, Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, Option(min=1, max=65535, help="Port to listen on.")] = 5001,
    waiting: Annotated[int, Option(min=0, help="Number of requests that may wait; further ones get 503.")] = 4,
    deadline: Annotated[float, Option(min=1, help="Time limit of a request including waiting, seconds.")] = 120,
) -> None:
    """Serve a network over HTTP; the page /docs describes the requests."""
    if cases is not None and not cases.is_dir():
        raise UserError(f"--cases {cases}: expected a folder of cases, found none")
    from brats_cascade.backend import start_backend

    start_backend()
    import uvicorn

    from brats_cascade.commands.model import champion, open_models
    from brats_cascade.inference.requests import answer_row
    from brats_cascade.inference.server import Server

    members, chosen = open_models([model or champion()], precision="float32")
    answer = partial(answer_row, members=members, chosen=chosen, root=cases)
    app = Server(answer, waiting=waiting, deadline=deadline).app()
    typer.echo(f"http://{host}:{port}/docs shows the forms of a request")
    uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=5)
