"""Starts a process with its own file systems or network, which Linux allows for root or in a user namespace."""

import os
import shutil
import subprocess


def alone(namespace: str) -> list[str] | None:
    """The words to put before a command; None where this is not allowed.

    Args:
        namespace: mount, net, or empty for an ordinary process.
    """
    if not namespace:
        return []
    program = shutil.which("unshare")
    if program is None:
        return None
    words = [program, f"--{namespace}", *(["--map-root-user"] if os.geteuid() else [])]
    return words if subprocess.run([*words, "true"], capture_output=True).returncode == 0 else None
