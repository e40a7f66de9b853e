/**
 * The system call filter of a local sandbox: a deny list in classic BPF, written without libseccomp.
 *
 * Namespaces, capabilities and the mount table already withhold most of this; the filter takes the kernel's
 * attack surface away as well. Numbers: the kernel's `syscall_64.tbl` (x64) and `asm-generic/unistd.h` (arm64).
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
  /** Answered with EPERM, whatever their arguments. */
  denied: readonly number[]
}

/* oxfmt-ignore */
const architectures: Record<string, Architecture> = {
  x64: {
    audit: 0xc000003e, clone: 56, clone3: 435, ioctl: 16, prlimit: 302, sockets: [41, 53],
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
      237, 238, 239, 256, 279, // mbind, set_mempolicy, get_mempolicy, migrate_pages, move_pages
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
      428, 429, 430, 431, 432, 433, 442, // open_tree, move_mount, fsopen, fsconfig, fsmount, fspick, mount_setattr
    ],
  },
  arm64: {
    audit: 0xc00000b7, clone: 220, clone3: 435, ioctl: 29, prlimit: 261, sockets: [198, 199],
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
      235, 237, 236, 238, 239, // mbind, set_mempolicy, get_mempolicy, migrate_pages, move_pages
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
      428, 429, 430, 431, 432, 433, 442, // open_tree, move_mount, fsopen, fsconfig, fsmount, fspick, mount_setattr
    ],
  },
}

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const namespaceFlags = 0x7e020000
/** TIOCSTI and TIOCLINUX type into a terminal. */
const deniedIoctls = [0x5412, 0x541c]
/** AF_UNIX, AF_INET, AF_INET6, AF_NETLINK. Others (AF_VSOCK reaches a hypervisor, past the network namespace) are refused. */
const allowedSocketFamilies = [1, 2, 10, 16]

// linux/seccomp.h, linux/filter.h, asm-generic/errno.h
const allow = 0x7fff0000
const killProcess = 0x80000000
const errno = (number: number): number => 0x00050000 | number
const [EPERM, ENOSYS, EAFNOSUPPORT] = [1, 38, 97]
const offset = { number: 0, architecture: 4, argument: (index: number) => 16 + 8 * index }
const x32Bit = 0x40000000

/**
 * The filter as bubblewrap's `--seccomp` takes it: an array of `struct sock_filter`.
 *
 * @throws {SetupError} on an architecture without a table: the sandbox then does not start at all.
 */
export function seccompProgram(arch: string = process.arch): Buffer {
  const table = architectures[arch]
  if (!table) throw new SetupError(`The local sandbox has no system call filter for ${arch}; it runs on x64 and arm64.`)
  const program: Instruction[] = [
    load(offset.architecture),
    jump(0x15, table.audit, 1, 0),
    give(killProcess),
    load(offset.number),
    // x32 calls on x64 would pass under other numbers.
    ...(arch === 'x64' ? [jump(0x35, x32Bit, 0, 1), give(errno(ENOSYS))] : []),
    // The C library falls back to clone, whose flags can be read here.
    ...when(table.clone3, [give(errno(ENOSYS))]),
    ...when(table.clone, [load(offset.argument(0)), jump(0x45, namespaceFlags, 0, 1), give(errno(EPERM)), give(allow)]),
    ...when(table.ioctl, [
      load(offset.argument(1)),
      ...deniedIoctls.flatMap((request) => when(request, [give(errno(EPERM))])),
      give(allow),
    ]),
    // Of the caller alone: the supervisor has the same user, and what is taken from it, it cannot take back.
    ...when(table.prlimit, [load(offset.argument(0)), ...when(0, [give(allow)]), give(errno(EPERM))]),
    ...table.sockets.flatMap((number) =>
      when(number, [
        load(offset.argument(0)),
        ...allowedSocketFamilies.flatMap((family) => when(family, [give(allow)])),
        give(errno(EAFNOSUPPORT)),
      ]),
    ),
    ...table.denied.flatMap((number) => when(number, [give(errno(EPERM))])),
    give(allow),
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
const give = (value: number): Instruction => ({ code: 0x06, ifTrue: 0, ifFalse: 0, value })
/** BPF_JMP: 0x15 equal, 0x35 greater or equal, 0x45 any bit set. */
const jump = (code: number, value: number, ifTrue: number, ifFalse: number): Instruction => ({
  code,
  ifTrue,
  ifFalse,
  value,
})

/** Runs the block where the loaded word equals the value; the block must end in a return. */
function when(value: number, block: Instruction[]): Instruction[] {
  return [jump(0x15, value, 0, block.length), ...block]
}
