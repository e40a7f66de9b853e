// The resource limits of a sandbox. If the server is root, the kernel enforces them.
import { readFileSync } from 'node:fs'
import { Theazo, type Agent } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo, type ServerOptions } from '@theazo/server'
import { describe, expect, test } from 'vitest'
import { canMount } from '../support/can-mount.ts'
import { commandOf, processesOf } from '../support/host-processes.ts'
import { withLocalAgent } from '../support/local-agent.ts'

const mebi = 1024 * 1024
const memoryBytes = 192 * mebi

async function newAgent(local: LocalTheazo): Promise<Agent> {
  return await (await new Theazo(local).sessions.forUser('limits')).agents.create()
}

async function withSandbox(sandbox: ServerOptions['sandbox'], use: (agent: Agent) => Promise<void>): Promise<void> {
  await using local = await createLocalTheazo({ sandbox })
  await use(await newAgent(local))
}

/** Content of a limit file of the process's control group; undefined if the controller is not available. */
function limitOf(pid: string, controller: string, v1: string, v2: string): string | undefined {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
  for (const line of readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim().split('\n')) {
    const [id, names, path] = line.split(/:(.*?):(.*)/) as [string, string, string]
    const isSecond = id === '0'
    if (!isSecond && !names.split(',').includes(controller)) continue
    const mount = mounts.find((text) =>
      isSecond ? / - cgroup2 /.test(text) : new RegExp(` - cgroup .*\\b${controller}\\b`).test(text),
    )
    const [, , , root, point] = mount?.split(' ') ?? []
    try {
      return readFileSync(
        `${point}${root === '/' ? path : path.replace(root ?? '', '')}/${isSecond ? v2 : v1}`,
        'utf8',
      ).trim()
    } catch {} // this hierarchy has no such controller
  }
  return undefined
}

const bombs = {
  python: 'blocks = []\nwhile True: blocks.append(bytearray(8 * 1024 * 1024))',
  typescript: 'const blocks: Buffer[] = []\nfor (;;) blocks.push(Buffer.alloc(8 * 1024 * 1024, 1))',
  bash: 'x=$(printf "%1048576s"); while :; do x+=$x; done',
} as const

describe('memory', () => {
  let agent: Agent
  withLocalAgent((opened) => void (agent = opened), { sandbox: { memoryBytes } })

  test.each(['python', 'typescript', 'bash'] as const)(
    '%s code that uses too much is killed, its output gives the reason, and the sandbox continues',
    async (lang) => {
      await agent.exec('bash', 'echo kept > kept')
      const { exitCode, stderr } = await agent.exec(lang, bombs[lang])
      expect(exitCode).toBe(137)
      expect(stderr).toMatch(/ran out of memory \(limit 192 MiB\)/)
      for (const next of ['python', 'typescript', 'bash'] as const) {
        const code = {
          python: 'print(open("kept").read().strip())',
          typescript: "import fs from 'node:fs'; console.log(fs.readFileSync('kept', 'utf8').trim())",
          bash: 'cat kept',
        }[next]
        expect(await agent.exec(next, code)).toMatchObject({ stdout: 'kept\n', stderr: '', exitCode: 0 })
      }
    },
  )

  test('a child that uses too much is killed, and its parent can report it', async () => {
    const code = `import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', '''${bombs.python}''']).returncode)`
    const { stdout, stderr, exitCode } = await agent.exec('python', code)
    expect({ stdout, exitCode }).toEqual({ stdout: '-9\n', exitCode: 0 })
    expect(stderr).toMatch(/ran out of memory/)
  })

  test('a small exec beside one that uses too much is unaffected', async () => {
    const other = agent.exec('bash', '> begun; until [[ -e over ]]; do sleep 0.02; done; echo unhurt')
    await agent.exec('bash', 'until [[ -e begun ]]; do sleep 0.02; done')
    expect((await agent.exec('python', bombs.python)).exitCode).toBe(137)
    await agent.exec('bash', '> over')
    expect(await other).toMatchObject({ stdout: 'unhurt\n', exitCode: 0 })
  })

  test('full in-memory file systems leave memory for code', async () => {
    const folders = ['/tmp', '/dev/shm']
    for (const folder of folders) {
      const { stdout, stderr, exitCode } = await agent.exec(
        'bash',
        `head -c 16M /dev/zero > ${folder}/fits && echo fits; head -c 300M /dev/zero > ${folder}/big`,
      )
      expect({ stdout, exitCode }).toEqual({ stdout: 'fits\n', exitCode: 1 })
      expect(stderr).toMatch(/No space left on device/)
    }
    expect((await agent.exec('python', 'print(len(bytearray(16_000_000)))')).stdout).toBe('16000000\n')
    expect((await agent.exec('bash', folders.map((name) => `rm ${name}/fits ${name}/big`).join('; '))).exitCode).toBe(0)
  })

  test('memory below the limit can be used', async () => {
    expect((await agent.exec('python', `print(len(bytearray(${memoryBytes / 3})))`)).stdout).toBe(
      `${memoryBytes / 3}\n`,
    )
  })
})

test.runIf(process.getuid?.() === 0)('the control group of running code has the configured limits', async () => {
  await withSandbox({ memoryBytes, cpus: 0.5, maxProcesses: 40 }, async (agent) => {
    const { stdout: uid } = await agent.exec('bash', 'id -u')
    const running = agent.exec('bash', 'until [[ -e over ]]; do sleep 0.02; done')
    const found = (): string[] => processesOf(Number(uid)).filter((pid) => commandOf(pid).includes('/main.sh'))
    await expect.poll(() => found().length).toBe(1)
    for (const pid of found()) {
      const [memory, pids, cpu] = [
        limitOf(pid, 'memory', 'memory.limit_in_bytes', 'memory.max'),
        limitOf(pid, 'pids', 'pids.max', 'pids.max'),
        limitOf(pid, 'cpu', 'cpu.cfs_quota_us', 'cpu.max'),
      ]
      // `theazo-server doctor` reports controllers that are not available.
      expect([String(memoryBytes), undefined]).toContain(memory)
      expect(['56', undefined]).toContain(pids) // includes the supervisor's own processes; the rlimit limits code
      expect(['50000', '50000 100000', undefined]).toContain(cpu)
      expect([memory, pids, cpu].some((value) => value !== undefined)).toBe(true)
    }
    await agent.exec('bash', '> over')
    expect((await running).exitCode).toBe(0)
  })
})

test('more processes than allowed are refused, and the sandbox continues', async () => {
  await withSandbox({ maxProcesses: 40 }, async (agent) => {
    const code = `
import os, signal, time
children = []
try:
    while len(children) < 500:
        pid = os.fork()
        if pid == 0: time.sleep(60); os._exit(0)
        children.append(pid)
except OSError as error: print(error.errno, 5 < len(children) < 40)`
    expect((await agent.exec('python', code)).stdout).toBe('11 True\n')
    expect((await agent.exec('python', code)).stdout).toBe('11 True\n') // the earlier processes ended with their exec
    expect((await agent.exec('bash', 'echo "$(echo fine)"')).stdout).toBe('fine\n')
  })
})

test('a fork bomb ends at its deadline, and the sandbox continues', async () => {
  await withSandbox({ maxProcesses: 60 }, async (agent) => {
    const error = agent
      .exec('bash', 'f() { f | f & }; f; sleep 60', { timeoutMs: 2000 })
      .catch((thrown: unknown) => thrown)
    expect(await error).toMatchObject({ name: expect.stringMatching(/Timeout/) })
    expect(await agent.exec('bash', 'echo "$(echo fine)"')).toMatchObject({ stdout: 'fine\n', exitCode: 0 })
  })
})

test('the number of open files is limited', async () => {
  await withSandbox({ maxOpenFiles: 64 }, async (agent) => {
    const code =
      'kept = []\ntry:\n  while True: kept.append(open("/dev/null"))\nexcept OSError as error: print(error.errno, len(kept))'
    expect((await agent.exec('python', code)).stdout).toBe('24 61\n')
    expect((await agent.exec('bash', 'ulimit -Sn; ulimit -Hn; ulimit -n 100 || echo refused')).stdout).toBe(
      '64\n64\nrefused\n',
    )
  })
})

test.runIf(canMount)('a full disk is an error in the code, and deleted files free the space', async () => {
  await withSandbox({ diskBytes: 32 * mebi }, async (agent) => {
    const { stdout, stderr, exitCode } = await agent.exec(
      'bash',
      'echo small > small && echo fits; head -c 64M /dev/zero > big',
    )
    expect({ stdout, exitCode }).toEqual({ stdout: 'fits\n', exitCode: 1 })
    expect(stderr).toMatch(/No space left on device/)
    expect((await agent.exec('bash', 'head -c 4M /dev/zero > ~/more')).stderr).toMatch(/No space left on device/)
    expect((await agent.exec('bash', 'rm big; cat small; echo more > ~/more; cat ~/more')).stdout).toBe('small\nmore\n')
  })
})

test('an agent that uses up all its resources does not affect another', async () => {
  await using local = await createLocalTheazo({ sandbox: { memoryBytes, maxProcesses: 40 } })
  const [greedy, other] = [await newAgent(local), await newAgent(local)]
  const bomb = greedy
    .exec('bash', 'for n in {1..60}; do sleep 60 & done 2> /dev/null; > full; wait', { timeoutMs: 10_000 })
    .catch(() => {})
  await expect.poll(async () => (await other.exec('bash', 'echo "$(echo fine)"')).stdout).toBe('fine\n')
  expect((await other.exec('python', 'print(len(bytearray(50_000_000)))')).stdout).toBe('50000000\n')
  await greedy.terminate()
  await bomb
})
