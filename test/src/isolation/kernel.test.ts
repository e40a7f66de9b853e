// System calls that code must not use: each is really made, and a similar allowed call works as the control.
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { onEachServer, outputOf } from '../support/each-server.ts'

/** Python that makes a system call by number, and prints the name of its error or `ok`. */
const syscall = (number: number, args: string): string => `
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
here = ctypes.create_string_buffer(b'/workspace')
room = ctypes.create_string_buffer(4096)
r = libc.syscall(${number}${args && `, ${args}`})
print("ok" if r >= 0 else errno.errorcode[ctypes.get_errno()])`

onEachServer((server) => {
  describe.runIf(process.arch === 'x64')('system calls', () => {
    test.each([
      ['ptrace of itself', 101, '0, 0, 0, 0'],
      ['ptrace of a process', 101, '16, os.getppid(), 0, 0'],
      ["reading another process's memory", 310, 'os.getpid(), 0, 0, 0, 0, 0'],
      ["writing another process's memory", 311, 'os.getpid(), 0, 0, 0, 0, 0'],
      ["taking another process's descriptor", 438, '0, 1, 0'],
      ['comparing processes', 312, 'os.getpid(), os.getpid(), 0, 0, 0'],
      ["setting another process's limits", 302, '1, 7, 0, room'],
      ["setting its parent's limits", 302, 'os.getppid(), 7, 0, room'],
      ['unshare of users', 272, '0x10000000'],
      ['unshare of mounts', 272, '0x20000'],
      ['unshare of the network', 272, '0x40000000'],
      ['unshare of pids', 272, '0x20000000'],
      ['unshare of time', 272, '0x80'],
      ['setns', 308, 'os.open("/proc/self/ns/net", 0), 0'],
      ['clone with new users', 56, '0x10000011, 0, 0, 0, 0'],
      ['clone with new mounts', 56, '0x20011, 0, 0, 0, 0'],
      ['clone with a new network', 56, '0x40000011, 0, 0, 0, 0'],
      ['mount', 165, 'here, here, 0, 0x1000, 0'],
      ['umount', 166, 'here, 2'],
      ['open_tree', 428, '-100, here, 1'],
      ['move_mount', 429, '-1, here, -100, here, 0'],
      ['fsopen', 430, 'here, 0'],
      ['fsmount', 432, '0, 0, 0'],
      ['mount_setattr', 442, '-100, here, 0, room, 32'],
      ['pivot_root', 155, 'here, here'],
      ['chroot', 161, 'here'],
      ['bpf', 321, '0, room, 48'],
      ['perf_event_open', 298, 'room, 0, -1, -1, 0'],
      ['userfaultfd', 323, '1'],
      ['io_uring_setup', 425, '1, room'],
      ['io_uring_enter', 426, '0, 0, 0, 0, 0, 0'],
      ['io_uring_register', 427, '-1, 0, 0, 0'],
      ['add_key', 248, 'here, here, here, 1, -3'],
      ['request_key', 249, 'here, here, 0, -3'],
      ['keyctl', 250, '0, -3, 1'],
      ['a new session keyring', 250, '1, 0'],
      ['the kernel log', 103, '3, room, 100'],
      ['fanotify_init', 300, '0, 0'],
      ['a file by its handle', 304, '-100, room, 0'],
      ['a handle of a file', 303, '-100, here, room, room, 0'],
      ['kexec_load', 246, '0, 0, 0, 0'],
      ['init_module', 175, 'room, 10, here'],
      ['finit_module', 313, '0, here, 0'],
      ['delete_module', 176, 'here, 0'],
      ['swapon', 167, 'here, 0'],
      ['reboot', 169, '0, 0, 0, 0'],
      ['quotactl', 179, '0, 0, 0, 0'],
      ['setting the time of day', 164, 'room, 0'],
      ['setting a clock', 227, '0, room'],
      ['adjusting a clock', 305, '0, room'],
      ['process accounting', 163, '0'],
      ['ports', 173, '0, 1, 1'],
      ['personality', 135, '0x0040000'],
      ['moving pages', 279, '0, 0, 0, 0, 0, 0'],
      ['typing into a terminal', 16, '0, 0x5412, here'],
      ['typing into the console', 16, '0, 0x541c, here'],
    ])('%s is refused', async (_name, number, args) => {
      expect(await outputOf(server.agent, 'python', syscall(39, ''))).toBe('ok') // getpid: the probe itself works
      expect(await outputOf(server.agent, 'python', syscall(number, args))).toBe('EPERM')
    })

    test('clone3, whose flags a seccomp filter cannot read, is not available, and threads and processes still work', async () => {
      expect(await outputOf(server.agent, 'python', syscall(435, 'room, 88'))).toBe('ENOSYS')
      expect(await outputOf(server.agent, 'python', syscall(57, ''))).toMatch(/^ok/) // fork
    })

    test('x32 system calls are not available', async () => {
      expect(await outputOf(server.agent, 'python', syscall(39, ''))).toBe('ok')
      expect(await outputOf(server.agent, 'python', syscall(0x40000000 + 39, ''))).toBe('ENOSYS')
      expect(await outputOf(server.agent, 'python', syscall(0x40000000 + 521, ''))).toBe('ENOSYS') // ptrace
    })

    test('a system call through the 32-bit gate ends the process', async () => {
      // mov eax, 20 (getpid of i386, or 39 of x64); int 0x80 or syscall; ret
      const machine = (code: string): string => `
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=7)
page.write(bytes.fromhex('${code}'))
print(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))() > 0)`
      expect(await outputOf(server.agent, 'python', machine('b8270000000f05c3'))).toBe('True')
      const { exitCode, stdout } = await server.agent.exec('python', machine('b814000000cd80c3'))
      // If the kernel has no 32-bit gate, every program gets SIGSEGV there.
      const bare = spawnSync('/usr/bin/python3', ['-c', machine('b814000000cd80c3')], { encoding: 'utf8' })
      const isGate = bare.stdout === 'True\n'
      expect(isGate || bare.signal === 'SIGSEGV').toBe(true)
      expect([exitCode, stdout]).toEqual([isGate ? 159 : 139, '']) // SIGSYS, SIGSEGV
    })
  })

  test('code may lower its own limits', async () => {
    expect(
      await outputOf(server.agent, 'bash', 'ulimit -n 100; ulimit -n; prlimit --nofile=50 bash -c "ulimit -n"'),
    ).toBe('100\n50')
  })

  test('code can make sockets of ordinary families only', async () => {
    const code = `
import errno, socket
def attempt(make, family):
    try: make(family, socket.SOCK_STREAM if make is not raw else 0); return 'ok'
    except OSError as e: return errno.errorcode[e.errno]
raw = lambda family, _: socket.socket(family, socket.SOCK_RAW, 255)
print([attempt(socket.socket, f) for f in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)])
print([attempt(socket.socket, f) for f in (socket.AF_VSOCK, socket.AF_PACKET, 38, 31, 29, 44)])
print([attempt(socket.socketpair, f) for f in (socket.AF_UNIX, socket.AF_VSOCK)])
print([attempt(raw, f) for f in (socket.AF_INET, socket.AF_INET6)])`
    const refused = Array.from({ length: 6 }, () => "'EAFNOSUPPORT'").join(', ')
    expect(await outputOf(server.agent, 'python', code)).toBe(
      `['ok', 'ok', 'ok']\n[${refused}]\n['ok', 'EAFNOSUPPORT']\n['EPERM', 'EPERM']`,
    )
  })

  test.each([
    ['make a user namespace', 'unshare --user true', 'true'],
    ['make a mount namespace', 'unshare --mount true', 'true'],
    ['become root in a namespace', 'unshare --map-root-user true', 'true'],
    ['mount a tmpfs', 'mount -t tmpfs none /tmp', 'ls /tmp'],
    ['bind a folder', 'mount --bind /workspace /tmp', 'ls /tmp'],
    ['make /usr writable', 'mount -o remount,rw /usr', 'ls /usr'],
    ['uncover the folder below /proc', 'umount /proc', 'ls /proc'],
    ['enter the namespaces of pid 1', 'nsenter --target 1 --mount true', 'true'],
    ['read the kernel log', 'dmesg', 'true'],
    ['read the kernel log as a device', 'cat /dev/kmsg', 'cat /dev/null'],
    ['set the clock', 'date -s @0', 'date'],
    ['name the host', 'hostname other', 'hostname'],
    ['change the root folder', 'chroot / true', 'true'],
    ['open a terminal', 'exec 3<> /dev/tty', 'exec 3<> /dev/null'],
    ['open a pseudo terminal', 'exec 3<> /dev/ptmx', 'exec 3<> /dev/zero'],
    ['run a sandbox of its own as root', 'bwrap --unshare-user --uid 0 --ro-bind / / true', 'true'],
  ])('code cannot %s', async (_what, refused, control) => {
    expect((await server.agent.exec('bash', control)).exitCode).toBe(0)
    expect((await server.agent.exec('bash', refused)).exitCode).not.toBe(0)
  })

  test("the host's kernel shows no addresses, keys or module memory", async () => {
    const code = `
import os
def read(path):
    try: return open(path).read()
    except OSError: return ''
print(sum(int(line.split()[0], 16) for line in read('/proc/kallsyms').splitlines()))
print(len(read('/proc/keys')), len(read('/proc/kcore')[:1]), len(read('/proc/self/stack')))
print(len(read('/proc/version')) > 0)`
    expect(await outputOf(server.agent, 'python', code)).toBe('0\n0 0 0\nTrue')
  })

  test('the sandbox has its own host name, clock and namespaces', async () => {
    const kinds = ['ipc', 'mnt', 'net', 'pid', 'user', 'uts', 'cgroup']
    const inside = (
      await outputOf(server.agent, 'bash', `hostname; for n in ${kinds.join(' ')}; do readlink /proc/self/ns/$n; done`)
    ).split('\n')
    const outside = kinds.map((kind) =>
      execFileSync('readlink', [`/proc/self/ns/${kind}`], { encoding: 'utf8' }).trim(),
    )
    expect(inside[0]).toBe('sandbox')
    expect(inside).toHaveLength(kinds.length + 1)
    for (const [index, own] of outside.entries()) expect(inside[index + 1]).not.toBe(own)
    expect(spawnSync('hostname', { encoding: 'utf8' }).stdout.trim()).not.toBe('sandbox')
    expect(readFileSync('/proc/self/uid_map', 'utf8')).not.toBe(
      await outputOf(server.agent, 'bash', 'cat /proc/self/uid_map'),
    )
  })
})
