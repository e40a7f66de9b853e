"""Finds out whether the sandbox has network access."""
import os

#: The socket of the egress proxy; it exists only in a sandbox that has network access.
PROXY_PATH = '/run/theazo-egress'


class NoEgress:
    """In place of Egress (egress.py) in a sandbox without network access."""

    pid = None

    @staticmethod
    def due():
        return []

    @staticmethod
    def start():
        return False

    @staticmethod
    def note_change(_pid, _status):
        return False


def find_egress():
    if not os.path.exists(PROXY_PATH):
        return NoEgress()
    from egress import Egress  # loaded here because most sandboxes do not need it

    return Egress(PROXY_PATH)
