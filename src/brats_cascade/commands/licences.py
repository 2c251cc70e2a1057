"""brats-cascade licences: lists the licences of the installed packages."""

from importlib.metadata import Distribution, distributions

import typer

from brats_cascade.errors import printable


def run() -> None:
    """List the licence of every installed package, from its metadata."""
    from brats_cascade.report.text import text_table

    found = {distribution.name.lower(): distribution for distribution in distributions()}
    rows = [(each.name, each.version, licence_of(each)) for _, each in sorted(found.items())]
    rows.append(("NiiVue, in the pages of `view`", "0.69.0", "BSD-2-Clause, parts MIT and ISC: report/niivue/LICENSE"))
    typer.echo(text_table(("package", "version", "licence"), rows=rows))


def licence_of(distribution: Distribution) -> str:
    """The SPDX expression, else the classifiers, else the first line of the licence field, else "not stated"."""
    about = distribution.metadata
    expression, text = ("".join(about.get_all(key) or ()).strip() for key in ("License-Expression", "License"))
    kinds = [line.split(" :: ")[-1] for line in about.get_all("Classifier") or () if line.startswith("License ::")]
    named = ", ".join(kind for kind in kinds if kind != "OSI Approved")
    return printable(expression or named or text.partition("\n")[0] or "not stated")
