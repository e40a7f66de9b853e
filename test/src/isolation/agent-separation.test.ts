// Two agents of one server: neither can reach data of the other, and neither can exhaust the resources of the other.
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Agent } from '@theazo/core'
import { describe, expect, test } from 'vitest'
import { onEachServer, outputOf } from '../support/each-server.ts'
import { residentBytes } from '../support/host-processes.ts'

onEachServer((server) => {
  describe('shared memory', () => {
    test.each([
      ['/dev/shm', 'open("/dev/shm/shared", "w").write("theirs")', 'print(open("/dev/shm/shared").read())'],
      ['/tmp', 'open("/tmp/shared", "w").write("theirs")', 'print(open("/tmp/shared").read())'],
      [
        'System V memory',
        'libc.shmget(77, 4096, 0o1666)',
        'print("theirs" if libc.shmget(77, 4096, 0) >= 0 else "nothing")',
      ],
      ['System V queues', 'libc.msgget(77, 0o1666)', 'print("theirs" if libc.msgget(77, 0) >= 0 else "nothing")'],
      [
        'System V semaphores',
        'libc.semget(77, 1, 0o1666)',
        'print("theirs" if libc.semget(77, 1, 0) >= 0 else "nothing")',
      ],
      [
        'POSIX queues',
        'libc.mq_open(b"/shared", 0o102, 0o666, None)',
        'print("theirs" if libc.mq_open(b"/shared", 0) >= 0 else "nothing")',
      ],
      ['home', 'open("/home/agent/shared", "w").write("theirs")', 'print(open("/home/agent/shared").read())'],
    ])('%s is not shared between agents', async (_what, make, look) => {
      await using other = await server.newAgent()
      const start = 'import ctypes\nlibc = ctypes.CDLL(None)\n'
      await other.exec('python', start + make)
      expect(await outputOf(other, 'python', start + look)).toBe('theirs')
      expect(await outputOf(server.agent, 'python', start + look)).not.toContain('theirs')
    })
  })

  /** Code that uses up a resource until it is ended. */
  const exhausting: Record<string, string> = {
    'all CPUs': 'import os\nfor _ in range(8): os.fork()\nwhile True: pass',
    processes: 'import os, time\nwhile True:\n  try: os.fork()\n  except OSError: time.sleep(0.001)',
    memory:
      'import subprocess, sys\nwhile True: subprocess.run([sys.executable, "-c", "b = []\\nwhile True: b.append(bytearray(1 << 20))"])',
    'disk space':
      'import os\nwhile True:\n  try:\n    with open("big", "wb") as f:\n      while True: f.write(b"x" * (1 << 20)); f.flush()\n  except OSError: pass',
    names:
      'import os\nn = 0\nwhile n < 200_000:\n  try: os.close(os.open(f"name-{n}", os.O_CREAT)); n += 1\n  except OSError: break\nwhile True: os.scandir(".").close()',
    'open files':
      'import os\nkeep = []\nfor _ in range(50): os.fork()\nwhile True:\n  try: keep.append(os.open("/dev/null", 0))\n  except OSError: pass',
    output: 'import os\nwhile True: os.write(1, b"x" * 65536); os.write(2, b"x" * 65536)',
    'the time of its supervisor':
      'import os\nwhile True:\n  for n in range(1, 65):\n    try: os.kill(1, n)\n    except OSError: pass',
  }
  test.each(Object.keys(exhausting))('an agent answers while another agent uses up %s', async (what) => {
    await using other = await server.newAgent()
    const controller = new AbortController()
    const { promise: started, resolve: onStdout } = Promise.withResolvers<unknown>()
    const code = `import os, sys\nprint('begun', flush=True)\n${exhausting[what]}`
    const running = other.exec('python', code, { signal: controller.signal, onStdout })
    const ended = running.catch((error: unknown) => error)
    expect(await Promise.race([started, ended])).toMatch(/^begun\n/)
    const latencies = await answers(server.agent)
    controller.abort()
    await ended
    process.stdout.write(`beside ${what}: ${latencies.map((ms) => Math.round(ms)).join(', ')} ms\n`)
    expect(await outputOf(server.agent, 'bash', 'echo after')).toBe('after')
    expect(server.child.exitCode).toBeNull()
  })

  // Longer than the time limit of an exec, for a slow machine.
  test('ten gibibytes of output neither fill the memory of the server nor stall it', { timeout: 150_000 }, async () => {
    await using flooder = await server.newAgent()
    // A NUL counts as six bytes, its length in JSON, so the part that the server keeps consists of letters.
    const flood = "{ head -c 10M /dev/zero | tr '\\0' x; dd if=/dev/zero bs=1M count=5110 status=none; }"
    const flooding = flooder.exec('bash', `${flood}; ${flood} >&2; exit 7`)
    const state = { isOver: false }
    const end = flooding.finally(() => (state.isOver = true))
    end.catch(() => {})
    const peaks: number[] = []
    while (!state.isOver) {
      expect(await outputOf(server.agent, 'bash', 'echo beside')).toBe('beside')
      peaks.push(residentBytes(server.child.pid ?? 0) / 2 ** 20)
      await Promise.race([end, sleep(100)]) // leaves CPU time to the flood
    }
    const { stdout, stderr, exitCode, ...rest } = await end
    expect(rest).toMatchObject({ stdoutTruncated: true, stderrTruncated: true })
    const kept = 10 * 1024 * 1024
    expect([stdout.length, stderr.length, exitCode]).toEqual([kept, kept, 7])
    expect(peaks.length).toBeGreaterThan(0)
    expect(Math.max(...peaks)).toBeLessThan(1024)
  })
})

/** Runs some execs, and returns the milliseconds of each. */
async function answers(agent: Agent): Promise<number[]> {
  const latencies: number[] = []
  for (let index = 0; index < 5; index += 1) {
    const start = performance.now()
    expect(await outputOf(agent, 'bash', 'echo beside')).toBe('beside')
    expect(await outputOf(agent, 'python', 'print("beside")')).toBe('beside')
    latencies.push(performance.now() - start)
  }
  return latencies
}
