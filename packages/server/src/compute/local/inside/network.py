"""Whether the sandbox has a way out."""
import os

#: The proxy's socket is bound here, where there is one.
PROXY_PATH = '/run/theazo-egress'


class NoEgress:
    """See egress.py."""

    pid = None

    @staticmethod
    def due():
        return []

    @staticmethod
    def start():
        return False

    @staticmethod
    def bury(_pid, _status):
        return False


def find_egress():
    if not os.path.exists(PROXY_PATH):
        return NoEgress()
    from egress import Egress  # not before: most sandboxes do without

    return Egress(PROXY_PATH)
