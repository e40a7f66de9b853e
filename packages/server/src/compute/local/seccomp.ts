/**
 * The system call filter of a local sandbox: a deny list in classic BPF, written without libseccomp.
 *
 * Namespaces, capabilities and the mount table already withhold most of this; the filter takes the kernel's
 * attack surface away as well. Numbers: the kernel's `syscall_64.tbl` (x64) and `asm-generic/unistd.h` (arm64).
 *
 * It also refuses calls that use a resource which the whole machine shares, or which no control group counts:
 *
 * | resource                                            | call                                | a program finds     |
 * | --------------------------------------------------- | ----------------------------------- | ------------------- |
 * | `fs.aio-max-nr`                                     | io_setup                            | no such call        |
 * | `net.core.bpf_jit_limit`, also of other sandboxes'  | filters of sockets and of seccomp   | EPERM, EINVAL       |
 * | huge pages (`vm.nr_hugepages`)                      | mmap, memfd_create, shmget          | no memory, no call  |
 * | whether the machine can hibernate                   | memfd_secret                        | no such call        |
 * | buffers of netlink, which nothing counts            | netlink except NETLINK_ROUTE        | no such protocol    |
 * | protocols whose buffers nothing counts              | IP sockets except TCP and UDP       | no such protocol    |
 * | record locks, which nothing counts                  | locks of open file descriptions     | EINVAL              |
 *
 * NETLINK_ROUTE and other record locks are limited by `watcher.ts`. SECURITY.md lists all such resources and their limits.
 *
 * @module
 */
import { SetupError } from '../../errors.ts'

interface Architecture {
  /** `AUDIT_ARCH_…` of `linux/audit.h`. */
  audit: number
  clone: number
  clone3: number
  ioctl: number
  prlimit: number
  /** socket and socketpair. */
  sockets: readonly number[]
  setsockopt: number
  seccomp: number
  prctl: number
  mmap: number
  fcntl: number
  memfd: number
  shmget: number
  /** Answered with EPERM, whatever their arguments. */
  denied: readonly number[]
  /** Answered with ENOSYS: programs then work without the call. */
  absent: readonly number[]
}

/* oxfmt-ignore */
const architectures: Record<string, Architecture> = {
  x64: {
    audit: 0xc000003e, clone: 56, clone3: 435, ioctl: 16, prlimit: 302, sockets: [41, 53], setsockopt: 54,
    seccomp: 317, prctl: 157, fcntl: 72, mmap: 9, memfd: 319, shmget: 29,
    denied: [
      101, // ptrace
      103, // syslog
      134, 135, // uselib, personality
      153, // vhangup
      155, 161, 165, 166, // pivot_root, chroot, mount, umount2
      163, 167, 168, 169, // acct, swapon, swapoff, reboot
      164, 227, 159, 305, // settimeofday, clock_settime, adjtimex, clock_adjtime
      172, 173, // iopl, ioperm
      174, 175, 176, 313, // create_module, init_module, delete_module, finit_module
      177, 178, 180, // get_kernel_syms, query_module, nfsservctl
      179, 443, // quotactl, quotactl_fd
      212, // lookup_dcookie
      237, 238, 239, 256, 279, 450, // mbind, set_mempolicy, get_mempolicy, migrate_pages, move_pages, set_mempolicy_home_node
      246, 320, // kexec_load, kexec_file_load
      248, 249, 250, // add_key, request_key, keyctl
      272, 308, // unshare, setns
      298, // perf_event_open
      300, 301, // fanotify_init, fanotify_mark
      303, 304, // name_to_handle_at, open_by_handle_at
      310, 311, 312, 438, 440, // process_vm_readv, process_vm_writev, kcmp, pidfd_getfd, process_madvise
      321, // bpf
      323, // userfaultfd
      425, 426, 427, // io_uring_setup, io_uring_enter, io_uring_register
      428, 429, 430, 431, 432, 433, 442, 467, // open_tree, move_mount, fsopen, fsconfig, fsmount, fspick, mount_setattr, open_tree_attr
    ],
    absent: [206, 447], // io_setup, memfd_secret
  },
  arm64: {
    audit: 0xc00000b7, clone: 220, clone3: 435, ioctl: 29, prlimit: 261, sockets: [198, 199], setsockopt: 208,
    seccomp: 277, prctl: 167, fcntl: 25, mmap: 222, memfd: 279, shmget: 194,
    denied: [
      117, // ptrace
      116, // syslog
      92, // personality
      58, // vhangup
      41, 51, 40, 39, // pivot_root, chroot, mount, umount2
      89, 224, 225, 142, // acct, swapon, swapoff, reboot
      170, 112, 171, 266, // settimeofday, clock_settime, adjtimex, clock_adjtime
      105, 106, 273, // init_module, delete_module, finit_module
      42, // nfsservctl
      60, 443, // quotactl, quotactl_fd
      18, // lookup_dcookie
      235, 237, 236, 238, 239, 450, // mbind, set_mempolicy, get_mempolicy, migrate_pages, move_pages, set_mempolicy_home_node
      104, 294, // kexec_load, kexec_file_load
      217, 218, 219, // add_key, request_key, keyctl
      97, 268, // unshare, setns
      241, // perf_event_open
      262, 263, // fanotify_init, fanotify_mark
      264, 265, // name_to_handle_at, open_by_handle_at
      270, 271, 272, 438, 440, // process_vm_readv, process_vm_writev, kcmp, pidfd_getfd, process_madvise
      280, // bpf
      282, // userfaultfd
      425, 426, 427, // io_uring_setup, io_uring_enter, io_uring_register
      428, 429, 430, 431, 432, 433, 442, 467, // open_tree, move_mount, fsopen, fsconfig, fsmount, fspick, mount_setattr, open_tree_attr
    ],
    absent: [0, 447], // io_setup, memfd_secret
  },
}

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const namespaceFlags = 0x7e020000
/** TIOCSTI and TIOCLINUX type into a terminal. */
const deniedIoctls = [0x5412, 0x541c]
/** AF_UNIX, AF_INET, AF_INET6, AF_NETLINK. Others (AF_VSOCK reaches a hypervisor, past the network namespace) are refused. */
const [unixFamily, ipFamilies, netlinkFamily] = [1, [2, 10], 16]
const [socketTypes, rawSocket] = [0xf, 3]
/** The default, TCP and UDP: control groups count their buffers. Not MPTCP, SCTP, UDP-Lite, L2TP and protocols of modules. */
const allowedIpProtocols = [0, 6, 17]
/** NETLINK_ROUTE, which `getifaddrs` uses. With other protocols, processes can queue an unlimited number of messages for each other. */
const allowedNetlinkProtocol = 0
/** SO_ATTACH_FILTER, _BPF, _REUSEPORT_CBPF and _REUSEPORT_EBPF; SO_SNDBUFFORCE and SO_RCVBUFFORCE. */
const [socketLevel, deniedSocketOptions] = [1, [26, 50, 51, 52, 32, 33]]
const [setModeFilter, setSeccomp, filterMode] = [1, 22, 2]
/** F_OFD_SETLK, F_OFD_SETLKW: the kernel lists no process for these locks, so `watcher.ts` could not assign them to a sandbox. */
const ownerlessLocks = [37, 38]
const hugePages = { mmap: 0x40000, memfd: 0x4, shmget: 0o4000 }

// linux/seccomp.h, linux/filter.h, asm-generic/errno.h
const allow = 0x7fff0000
const killProcess = 0x80000000
const errno = (number: number): number => 0x00050000 | number
const [EPERM, ENOMEM, EINVAL, ENOSYS, EPROTONOSUPPORT, EAFNOSUPPORT] = [1, 12, 22, 38, 93, 97]
const offset = { number: 0, architecture: 4, argument: (index: number) => 16 + 8 * index }
const x32Bit = 0x40000000

/**
 * The filter in the form of bubblewrap's `--seccomp`: an array of `struct sock_filter`.
 *
 * @throws {SetupError} on an architecture without a table; no sandbox starts there.
 */
export function seccompProgram(arch: string = process.arch): Buffer {
  const table = architectures[arch]
  if (!table) throw new SetupError(`The local sandbox has no system call filter for ${arch}; it runs on x64 and arm64.`)
  const program: Instruction[] = [
    load(offset.architecture),
    jump(0x15, table.audit, 1, 0),
    ret(killProcess),
    load(offset.number),
    // x32 calls on x64 would pass under other numbers.
    ...(arch === 'x64' ? [jump(0x35, x32Bit, 0, 1), ret(errno(ENOSYS))] : []),
    // Called often, so they are checked first.
    ...when(table.mmap, [load(offset.argument(3)), ...whenAny(hugePages.mmap, [ret(errno(ENOMEM))]), ret(allow)]),
    ...when(table.fcntl, [
      load(offset.argument(1)),
      ...ownerlessLocks.flatMap((command) => when(command, [ret(errno(EINVAL))])),
      ret(allow),
    ]),
    ...when(table.memfd, [load(offset.argument(1)), ...whenAny(hugePages.memfd, [ret(errno(ENOSYS))]), ret(allow)]),
    ...when(table.shmget, [load(offset.argument(2)), ...whenAny(hugePages.shmget, [ret(errno(EPERM))]), ret(allow)]),
    // The C library falls back to clone, whose flags can be read here.
    ...when(table.clone3, [ret(errno(ENOSYS))]),
    ...when(table.clone, [load(offset.argument(0)), ...whenAny(namespaceFlags, [ret(errno(EPERM))]), ret(allow)]),
    ...when(table.ioctl, [
      load(offset.argument(1)),
      ...deniedIoctls.flatMap((request) => when(request, [ret(errno(EPERM))])),
      ret(allow),
    ]),
    // Only for the calling process: code could lower the limits of the supervisor, which has the same user and could not raise them.
    ...when(table.prlimit, [load(offset.argument(0)), ...when(0, [ret(allow)]), ret(errno(EPERM))]),
    ...table.sockets.flatMap((number) =>
      when(number, [
        load(offset.argument(0)),
        ...when(unixFamily, [ret(allow)]),
        ...when(netlinkFamily, [
          load(offset.argument(2)),
          ...when(allowedNetlinkProtocol, [ret(allow)]),
          ret(errno(EPROTONOSUPPORT)),
        ]),
        ...ipFamilies.flatMap((family) =>
          when(family, [
            load(offset.argument(1)),
            and(socketTypes),
            ...when(rawSocket, [ret(allow)]), // the kernel refuses it: it needs a capability
            load(offset.argument(2)),
            ...allowedIpProtocols.flatMap((protocol) => when(protocol, [ret(allow)])),
            ret(errno(EPROTONOSUPPORT)),
          ]),
        ),
        ret(errno(EAFNOSUPPORT)),
      ]),
    ),
    ...when(table.setsockopt, [
      load(offset.argument(1)),
      ...when(socketLevel, [
        load(offset.argument(2)),
        ...deniedSocketOptions.flatMap((option) => when(option, [ret(errno(EPERM))])),
      ]),
      ret(allow),
    ]),
    // The answer of a kernel without seccomp filters: programs that want to confine themselves continue without one.
    ...when(table.seccomp, [load(offset.argument(0)), ...when(setModeFilter, [ret(errno(EINVAL))]), ret(allow)]),
    ...when(table.prctl, [
      load(offset.argument(0)),
      ...when(setSeccomp, [load(offset.argument(1)), ...when(filterMode, [ret(errno(EINVAL))])]),
      ret(allow),
    ]),
    ...table.denied.flatMap((number) => when(number, [ret(errno(EPERM))])),
    ...table.absent.flatMap((number) => when(number, [ret(errno(ENOSYS))])),
    ret(allow),
  ]
  const bytes = Buffer.alloc(program.length * 8)
  for (const [index, { code, ifTrue, ifFalse, value }] of program.entries()) {
    bytes.writeUInt16LE(code, index * 8)
    bytes.writeUInt8(ifTrue, index * 8 + 2)
    bytes.writeUInt8(ifFalse, index * 8 + 3)
    bytes.writeUInt32LE(value >>> 0, index * 8 + 4)
  }
  return bytes
}

interface Instruction {
  code: number
  ifTrue: number
  ifFalse: number
  value: number
}

/** BPF_LD | BPF_W | BPF_ABS: the low word, for an argument (both architectures are little endian). */
const load = (at: number): Instruction => ({ code: 0x20, ifTrue: 0, ifFalse: 0, value: at })
/** BPF_RET | BPF_K */
const ret = (value: number): Instruction => ({ code: 0x06, ifTrue: 0, ifFalse: 0, value })
/** BPF_JMP: 0x15 equal, 0x35 greater or equal, 0x45 any bit set. */
const jump = (code: number, value: number, ifTrue: number, ifFalse: number): Instruction => ({
  code,
  ifTrue,
  ifFalse,
  value,
})

/** BPF_ALU | BPF_AND | BPF_K: of the loaded word. */
const and = (mask: number): Instruction => ({ code: 0x54, ifTrue: 0, ifFalse: 0, value: mask })

/** Runs the block if the loaded word has any of these bits; the block must end in a return. */
function whenAny(bits: number, block: Instruction[]): Instruction[] {
  return [jump(0x45, bits, 0, block.length), ...block]
}

/** Runs the block if the loaded word equals the value; the block must end in a return. */
function when(value: number, block: Instruction[]): Instruction[] {
  return [jump(0x15, value, 0, block.length), ...block]
}
