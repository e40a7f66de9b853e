"""The control socket between the supervisor and a reaper. It carries packets, and descriptors with them (unix(7))."""
from _struct import Struct

#: Limits of one packet. The other side sends nothing larger.
MAX_PACKET = 4096
MAX_FDS = 6
FD = Struct('<i')


def pair():
    """The descriptors of both ends."""
    from _socket import AF_UNIX, SOCK_SEQPACKET, socketpair  # not at the top: loaded after the sandbox has reported ready

    return [end.detach() for end in socketpair(AF_UNIX, SOCK_SEQPACKET)]


def send(end, data, fds):
    from _socket import SCM_RIGHTS, SOL_SOCKET

    socket = socket_of(end)
    try:
        socket.sendmsg([data], [(SOL_SOCKET, SCM_RIGHTS, b''.join(map(FD.pack, fds)))])
    finally:
        socket.detach()


def receive(end):
    """A packet and its descriptors. The packet is empty if the other end is closed."""
    from _socket import CMSG_SPACE, MSG_CMSG_CLOEXEC

    socket = socket_of(end)
    try:
        data, ancillary, _flags, _address = socket.recvmsg(MAX_PACKET, CMSG_SPACE(MAX_FDS * FD.size), MSG_CMSG_CLOEXEC)
    finally:
        socket.detach()
    return data, [fd for _level, _type, content in ancillary for (fd,) in FD.iter_unpack(content)]


def socket_of(end):
    """A temporary object, which the caller detaches: it would close the descriptor when it is freed, also in a forked process."""
    from _socket import AF_UNIX, SOCK_SEQPACKET, socket

    return socket(AF_UNIX, SOCK_SEQPACKET, 0, end)
