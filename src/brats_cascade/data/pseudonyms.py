"""Replaces the names of cases and patients by keyed ids, once, when the cases are found.

Equal names and keys give equal ids on every machine. Without the key, an id cannot be traced to a name, not even by trying
all names.
"""

import hmac
import os
import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from brats_cascade.data.case import Case
from brats_cascade.data.cases import Found
from brats_cascade.data.names import DIGITS
from brats_cascade.data.unused import Unused
from brats_cascade.errors import UserError
from brats_cascade.shared import turn, written_whole

VARIABLE = "BRATS_CASCADE_PSEUDONYM_KEY"  # path of a key file other than the project's own
FILE = ".pseudonym-key"  # in the project's root; excluded from git and DVC
FEWEST = 16  # length of a key, bytes
_HIDDEN = "it belongs to no case; `brats-cascade data check` tells its name and the reason"


def read_key(root: Path) -> bytes:
    """The key of a project's pseudonyms. A missing key is created, readable by its owner only.

    Raises:
        UserError: The file that the environment variable names is missing, or a key is too short.
    """
    named = os.environ.get(VARIABLE)
    path = Path(named or Path(os.environ.get("DVC_ROOT") or root) / FILE)
    if not named and not path.exists():
        with turn(path.parent / ".work" / "pseudonym-key.lock"):  # the first of several processes creates it
            if not path.exists():
                with written_whole(path) as draft:
                    draft.touch(mode=0o600)
                    draft.write_text(secrets.token_hex(32) + "\n", encoding="ascii")
    try:
        key = path.read_bytes().strip()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file, but {VARIABLE} names it; put the key there, or unset it") from None
    if len(key) < FEWEST:
        raise UserError(f"{path}: expected a key of at least {FEWEST} characters, found {len(key)}; restore it")
    return key


def pseudonym(name: str, *, key: bytes) -> str:
    """The id of a name, such as `id-3f9ac04b71d2`."""
    return f"id-{hmac.digest(key, name.encode('utf-8', 'surrogatepass'), 'sha256').hex()[:DIGITS]}"


def under_pseudonyms(found: Found, *, key: bytes) -> Found:
    """The same cases with ids as names; `called` keeps the original names. Volumes of no case lose their names and paths."""
    new = {case.name: pseudonym(case.name, key=key) for case in found.cases}
    places = {str(case.folder): new[case.name] for case in found.cases}
    cases = [
        replace(
            case,
            name=new[case.name],
            patient=pseudonym(case.patient, key=key),
            called=case.called or case.name,
            namesake=places.get(case.namesake, "") and f"the case {places[case.namesake]}",
            problems=tuple(without_names(text, case=case, name=new[case.name]) for text in case.problems),
        )
        for case in found.cases
    ]
    unused = (Unused(Path(pseudonym(str(volume.path), key=key)), _HIDDEN) for volume in found.unused)
    return Found(sorted(cases, key=lambda case: case.name), tuple(sorted(unused, key=lambda volume: volume.path)))


def without_names(text: str, *, case: Case, name: str) -> str:
    """A message about a case with its name and paths replaced by its id."""
    said: Sequence[str] = [*map(str, case.files), str(case.folder), case.called, case.name]
    for hidden in sorted(filter(None, said), key=len, reverse=True):
        text = text.replace(hidden, name)
    return " ".join(name if "/" in word and name not in word else word for word in text.split(" "))
