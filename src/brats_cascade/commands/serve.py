"""brats-cascade serve: a network behind HTTP."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from brats_cascade.commands.options import PATH
from brats_cascade.errors import UserError


def run(
    model: Annotated[
        str | None, typer.Option(help="A folder models/EXPERIMENT or an MLflow URI. Default: the champion.")
    ] = None,
    cases: Annotated[
        Path | None, typer.Option(help="Folder below which requests may name cases; without it, images only.", **PATH)
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 5001,
    waiting: Annotated[int, typer.Option(min=0, help="Requests that may wait; any more get 503 at once.")] = 4,
    deadline: Annotated[float, typer.Option(min=1, help="Seconds for a request, the time it waits included.")] = 120,
) -> None:
    """Answer HTTP requests with segmentations; /docs shows their two forms."""
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
