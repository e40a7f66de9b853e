// Kernel resources that all processes of the machine share: code is refused, or its use is counted for its agent. See
// SECURITY.md.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { allUsable, onEachServer, outputOf, usable } from '../support/each-server.ts'

const calls = `
import ctypes, errno, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
room = ctypes.create_string_buffer(4096)
def call(number, *arguments):
    given = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return 'ok' if libc.syscall(ctypes.c_long(number), *given) != -1 else errno.errorcode[ctypes.get_errno()]
def made(*arguments):
    try: socket.socket(*arguments).close(); return 'ok'
    except OSError as error: return errno.errorcode[error.errno]
def option(number):
    try: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).setsockopt(1, number, struct.pack('HHIQ', 1, 0, 0, 0)); return 'ok'
    except OSError as error: return errno.errorcode[error.errno]
`

const flags = ['--memory-mb', '128']
const mebi = 1024 * 1024

onEachServer((server) => {
  describe.runIf(process.arch === 'x64')('is refused', () => {
    test.each([
      ['contexts of asynchronous I/O', 'call(206, 8, room)', 'ENOSYS', 'call(39)'],
      ['secret memory', 'call(447, 0)', 'ENOSYS', 'call(319, room, 0)'],
      [
        'a system call filter',
        'call(317, 1, 0, room)',
        'EINVAL',
        'call(317, 2, 0, ctypes.byref(ctypes.c_uint(0x7fff0000)))',
      ],
      ['a system call filter, with prctl', 'call(157, 22, 2, room)', 'EINVAL', 'call(157, 15, room)'],
      ['huge pages', 'call(9, 0, 2 << 20, 3, 0x40022, -1, 0)', 'ENOMEM', 'call(9, 0, 2 << 20, 3, 0x22, -1, 0)'],
      ['a memory file with huge pages', 'call(319, room, 4)', 'ENOSYS', 'call(319, room, 1)'],
      ['shared memory with huge pages', 'call(29, 0, 2 << 20, 0o5600)', 'EPERM', 'call(29, 0, 4096, 0o1600)'],
      ['a socket filter', 'option(26)', 'EPERM', 'option(2)'],
      ['an eBPF program of a socket', 'option(50)', 'EPERM', 'option(9)'],
      ['a filter of a reuseport group', 'option(51)', 'EPERM', 'option(15)'],
      ['an eBPF program of a reuseport group', 'option(52)', 'EPERM', 'option(15)'],
      ['a socket buffer above the limit', 'option(33)', 'EPERM', 'option(8)'],
      ['netlink between processes', 'made(16, 3, 2)', 'EPROTONOSUPPORT', 'made(16, 3, 0)'],
      ['netlink of devices', 'made(16, 3, 15)', 'EPROTONOSUPPORT', 'made(16, 3, 0)'],
      ['MPTCP', 'made(2, 1, 262)', 'EPROTONOSUPPORT', 'made(2, 1, 6)'],
      ['UDP-Lite', 'made(10, 2, 136)', 'EPROTONOSUPPORT', 'made(10, 2, 17)'],
      ['inotify of whole file systems', 'call(300, 0, 0)', 'EPERM', 'call(294, 0)'],
    ])('%s', async (_what, attempt, error, control) => {
      expect(await outputOf(server.agent, 'python', `${calls}\nprint(${control}, ${attempt})`)).toBe(`ok ${error}`)
    })
  })

  test.each([
    [
      'python',
      'import multiprocessing\nif __name__ == "__main__":\n    with multiprocessing.Pool(2) as p: print(p.map(abs, [-1, -2]))',
      '[1, 2]',
    ],
    [
      'python',
      'import asyncio\nasync def f():\n    s = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0); r, w = await asyncio.open_connection(*s.sockets[0].getsockname()); print(await r.read())\nasyncio.run(f())',
      "b''",
    ],
    [
      'python',
      'import sqlite3\nd = sqlite3.connect("x.db"); d.execute("pragma journal_mode=wal"); d.execute("create table t(x)"); d.execute("insert into t values (1)"); d.commit(); print(d.execute("select * from t").fetchall())',
      '[(1,)]',
    ],
    ['python', 'import socket; print(socket.if_nameindex()); socket.getaddrinfo("localhost", 80)', "[(1, 'lo')]"],
    [
      'typescript',
      'import { watch, mkdirSync, writeFileSync } from "node:fs"\nfor (let i = 0; i < 100; i++) mkdirSync(`w/${i}`, { recursive: true })\nconst all = Array.from({ length: 100 }, (_, i) => watch(`w/${i}`, () => { console.log("seen"); all.forEach((w) => w.close()) }))\nwriteFileSync("w/50/x", "")',
      'seen',
    ],
    [
      'typescript',
      'import { networkInterfaces } from "node:os"; console.log(Object.keys(networkInterfaces()))',
      "[ 'lo' ]",
    ],
  ] as const)('ordinary programs still work (%s, %#)', async (lang, code, output) => {
    await using agent = await server.newAgent()
    expect(await outputOf(agent, lang, code)).toBe(output)
  })

  test('buffers of TCP, UDP and netlink are counted or freed, or doctor reports that they are not', async () => {
    await using agent = await server.newAgent()
    const held = `
import socket, sys, time
keep, total = [], 0
server = socket.create_server(('127.0.0.1', 0), backlog=512)
for _ in range(200):
    out = socket.create_connection(server.getsockname())
    keep += [out, server.accept()[0]]
    out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    out.setblocking(False)
    try:
        while True: total += out.send(bytes(65536))
    except OSError: pass
for _ in range(200):
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    own.bind(('127.0.0.1', 0))
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    for _ in range(30): own.sendto(bytes(8192), own.getsockname())
    own.setblocking(False)
    keep.append(own)
pages = sum(int(line.split()[-1]) for line in open('/proc/net/sockstat') if line.startswith('UDP: '))
print(total + pages * 4096)`
    const says = server.doctor('limit: sockets')
    const bytes = Number(await outputOf(agent, 'python', held))
    if (says.includes('is counted')) expect(bytes).toBeLessThan(64 * mebi)
    else expect(says).toContain('nothing counts')
    expect(bytes).toBeGreaterThan(mebi) // the probe itself works

    const errors = `
import socket, struct, time
keep = []
for _ in range(200):
    own = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    own.bind((0, 0)); own.setblocking(False); keep.append(own)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    try:
        for _ in range(600): own.send(struct.pack('=LHHLL', 16, 999, 5, 1, 0))
    except OSError: pass
time.sleep(20)
print('was allowed')`
    const { stderr, stdout } = await agent.exec('python', errors)
    expect([stdout, stderr]).toEqual(['', expect.stringContaining('too many sockets, or too much data in them')])
    expect(await usable(agent)).toEqual(allUsable)
  })

  test('code with too many record locks is ended, and locks on open file descriptions are refused', async () => {
    await using agent = await server.newAgent()
    const locks = (count: number) => `
import fcntl, os, struct, time
files = [os.open(f'/tmp/lock-{n}', os.O_RDWR | os.O_CREAT) for n in range(100)]
lock = lambda command, at: fcntl.fcntl(files[at % 100], command, struct.pack('hhqqi', fcntl.F_WRLCK, 0, at * 2, 1, 0))
for at in range(${count}): lock(fcntl.F_SETLK, at)
try: lock(37, 0)
except OSError as error: print(error.strerror)
${count > 10_000 ? 'time.sleep(20)' : ''}
print('was allowed')`
    expect(await outputOf(agent, 'python', locks(5000))).toBe('Invalid argument\nwas allowed') // the control
    const { stderr, stdout } = await agent.exec('python', locks(20_000))
    expect([stdout, stderr]).toEqual([
      expect.not.stringContaining('was allowed'),
      expect.stringContaining('too many file locks'),
    ])
    expect(await usable(agent)).toEqual(allUsable)
  })

  test.runIf(readdirSync('/sys/fs/cgroup').includes('memory'))(
    'the memory limit of sockets is an eighth of the memory of the sandbox',
    () => {
      if (!server.isRoot || !server.doctor('limit: sockets').includes('version 1')) return
      const found = readdirSync('/sys/fs/cgroup/memory', { recursive: true, withFileTypes: true }).filter(
        ({ name, parentPath }) => name === 'memory.kmem.tcp.limit_in_bytes' && /\/sandbox-\d+$/.test(parentPath),
      )
      const limits = found.map(({ name, parentPath }) => Number(readFileSync(join(parentPath, name), 'utf8')))
      expect(limits).toContain((128 * mebi) / 8)
    },
  )
}, flags)
