"""What the supervisor and a reaper say to each other: packets, and descriptors with them (unix(7))."""
from _struct import Struct

#: Of a packet; what is longer is none of ours.
MAX_PACKET = 4096
MAX_FDS = 6
FD = Struct('<i')


def line():
    """Two ends."""
    from _socket import AF_UNIX, SOCK_SEQPACKET, socketpair  # not before the sandbox has said that it is there

    return [end.detach() for end in socketpair(AF_UNIX, SOCK_SEQPACKET)]


def send(end, data, fds):
    from _socket import SCM_RIGHTS, SOL_SOCKET

    socket = of(end)
    try:
        socket.sendmsg([data], [(SOL_SOCKET, SCM_RIGHTS, b''.join(map(FD.pack, fds)))])
    finally:
        socket.detach()


def receive(end):
    """A packet and its descriptors. Nothing where the other end is gone."""
    from _socket import CMSG_SPACE, MSG_CMSG_CLOEXEC

    socket = of(end)
    try:
        data, ancillary, _flags, _address = socket.recvmsg(MAX_PACKET, CMSG_SPACE(MAX_FDS * FD.size), MSG_CMSG_CLOEXEC)
    finally:
        socket.detach()
    return data, [fd for _level, _type, content in ancillary for (fd,) in FD.iter_unpack(content)]


def of(end):
    """An object would close its descriptor with itself, in whatever process is made from this one."""
    from _socket import AF_UNIX, SOCK_SEQPACKET, socket

    return socket(AF_UNIX, SOCK_SEQPACKET, 0, end)
