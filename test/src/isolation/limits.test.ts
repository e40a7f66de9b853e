// The limits of one agent. `theazo-server doctor` reports the limits that a server cannot enforce for its user.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { allUsable, onEachServer, outputOf, usable } from '../support/each-server.ts'

/** Bash that fills a folder, and fails if the folder is not full afterwards. */
const full = (folder: string): string =>
  `for i in $(seq 32); do head -c 16M /dev/zero > ${folder}/fill-$i || break; done 2> /dev/null; [ $i -gt 4 ] && ! head -c 16M /dev/zero > ${folder}/more`

const flags = ['--memory-mb', '512', '--disk-mb', '64']

onEachServer((server) => {
  test('processes, open files and core dumps are limited', async () => {
    expect(await outputOf(server.agent, 'bash', 'ulimit -u; ulimit -n; ulimit -c; ulimit -f')).toBe(
      '512\n4096\n0\n65536',
    )
    const raise = 'ulimit -u 600; ulimit -n 5000; ulimit -c 1; ulimit -f 70000; ulimit -u 100 && echo lowered'
    expect(await outputOf(server.agent, 'bash', raise)).toMatch(/^lowered(\n.*Operation not permitted){4}$/)
  })

  test('a fork bomb stops at the limit, and the agent is usable while its processes remain', async () => {
    await using agent = await server.newAgent()
    const bomb = `
import os
made = 0
while True:
    try: os.posix_spawn('/usr/bin/sleep', ['sleep', '1000'], {}, setsid=True, file_actions=[(os.POSIX_SPAWN_CLOSE, 1), (os.POSIX_SPAWN_CLOSE, 2)])
    except OSError as e: print(e.strerror, 400 < made < 512); break
    made += 1`
    expect(await outputOf(agent, 'python', bomb)).toBe('Resource temporarily unavailable True')
    expect(await outputOf(agent, 'bash', 'echo beside')).toBe('beside')
    expect(await outputOf(agent, 'python', 'print("beside")')).toBe('beside')
    await agent.exec('bash', 'kill -KILL -1')
    expect(await usable(agent)).toEqual(allUsable)
  })

  test('a thread bomb stops at the limit too', async () => {
    await using agent = await server.newAgent()
    const code = `
import threading, time
threading.stack_size(65536)
made = 0
try:
    while made < 2000: threading.Thread(target=time.sleep, args=(1000,), daemon=True).start(); made += 1
except RuntimeError as e: print(e, made < 512)`
    expect(await outputOf(agent, 'python', code)).toBe("can't start new thread True")
    expect(await usable(agent)).toEqual(allUsable)
  })

  test.each([
    ['python', 'b = []\nwhile True: b.append(bytearray(1 << 20))'],
    ['bash', 'x=$(tr "\\0" x < /dev/zero)'],
    [
      'bash',
      'for i in 1 2 3 4; do python3 -c "b = bytearray(300 << 20); b[::4096] = b\'x\' * len(b[::4096]); input()" < <(sleep 1000) & done; wait -n; kill -KILL $(jobs -p)',
    ],
  ] as const)('code that uses memory above the limit is ended (%s), and the agent stays usable', async (lang, bomb) => {
    expect(server.doctor('limit: memory')).toMatch(/by control groups|enforced by a watcher/)
    await using agent = await server.newAgent()
    const { stderr } = await agent.exec(lang, bomb)
    expect(stderr).toContain('ran out of memory (limit 512 MiB)')
    expect(await usable(agent)).toEqual(allUsable)
    expect(
      await outputOf(
        agent,
        'python',
        'b = bytearray(50 << 20); b[::4096] = b"x" * len(b[::4096]); print(len(b) >> 20)',
      ),
    ).toBe('50')
  })

  test('files above the limit are refused or end the code, and the agent stays usable', async () => {
    await using agent = await server.newAgent()
    const fill = `
import os, time
try:
    for part in range(4):
        with open(f'/home/agent/part-{part}', 'wb', 0) as f:
            for _ in range(30): f.write(b'x' * (1 << 20))
    time.sleep(60)
    print('it was let')
except OSError as e: print(e.strerror)`
    const { stdout, stderr } = await agent.exec('python', fill)
    if (existsSync(join(server.filesOf(agent), 'lost+found')) || server.filesOf(agent).endsWith('/disk')) {
      expect(stdout).toBe('No space left on device\n')
    } else {
      expect(server.doctor('limit: disk')).toContain('watcher, which kills')
      expect([stdout, stderr]).toEqual(['', expect.stringContaining('has filled its disk (limit 64 MiB)')])
    }
    await agent.exec('bash', 'rm ~/part-*')
    expect(await usable(agent)).toEqual(allUsable)
    await agent.files.write('again', 'fits')
  })

  test('a file cannot be larger than the disk', async () => {
    const code = 'touch big; truncate -s 60M big && echo fits; truncate -s 70M big; stat -c %s big; rm big'
    expect(await outputOf(server.agent, 'bash', code)).toMatch(
      /^fits\n62914560\n.*(File too large|File size limit exceeded)/,
    )
  })

  test('the number of files is limited if an agent has its own disk; otherwise doctor reports it', async () => {
    await using agent = await server.newAgent()
    const code = `
import os
made = 0
try:
    while made < 30_000: os.close(os.open(f'/home/agent/{made}', os.O_CREAT)); made += 1
    print('all', made)
except OSError as e: print(e.strerror, made > 1000)`
    const hasDisk = server.filesOf(agent).endsWith('/disk')
    expect(await outputOf(agent, 'python', code)).toBe(hasDisk ? 'No space left on device True' : 'all 30000')
    if (!hasDisk) expect(server.doctor('limit: disk')).toContain('watcher')
    await agent.exec('bash', 'find ~ -mindepth 1 -delete')
    expect(await usable(agent)).toEqual(allUsable)
    expect(await outputOf(agent, 'bash', 'touch ~/again && echo fits')).toBe('fits')
  })

  test.each(['/tmp', '/dev/shm'])('%s has a size limit', async (folder) => {
    await using agent = await server.newAgent()
    const look = `df --output=size -BM ${folder} | tail -1; head -c 1M /dev/zero > ${folder}/small && echo fits`
    const [size, control] = (await outputOf(agent, 'bash', look)).split('\n')
    expect([Number.parseInt(size ?? '', 10) <= 256, control]).toEqual([true, 'fits'])
  })

  describe('folders that code fills or makes inaccessible', () => {
    test.each([
      ['full /run/theazo', full('/run/theazo')],
      ['full /tmp', full('/tmp')],
      ['full /dev/shm', full('/dev/shm')],
      ['an inaccessible /run/theazo', 'chmod 0 /run/theazo'],
      [
        'inaccessible folders in /run/theazo',
        'mkdir -p /run/theazo/x/y; touch /run/theazo/x/y/z; chmod 0 /run/theazo/x/y /run/theazo/x $(dirname $0)',
      ],
      ['an inaccessible /tmp', 'chmod 0 /tmp'],
      ['an inaccessible /dev/shm', 'chmod 0 /dev/shm'],
      ['an inaccessible /workspace', 'chmod 0 /workspace'],
      ['an inaccessible home folder', 'chmod 0 /home/agent'],
      ['only inaccessible folders', 'chmod 0 /workspace /home/agent /tmp /dev/shm /run/theazo'],
      [
        'existing folders for later execs',
        'for i in $(seq 3 60); do mkdir -p /run/theazo/$i; touch /run/theazo/$i/main.{py,sh,ts}; done',
      ],
      [
        'links in place of the folders of later execs',
        'for i in $(seq 3 60); do ln -sfn /workspace /run/theazo/$i; done; touch kept',
      ],
      ['the removal of all its own files', 'rm -rf /run/theazo/* /tmp/* /dev/shm/* /workspace/* ~/*'],
      ['the removal of its working directory', 'mkdir d; cd d; rmdir ../d'],
    ])('an agent is usable after %s', async (_what, attack) => {
      await using agent = await server.newAgent()
      // If the kernel has Landlock, code cannot create files in /run/theazo at all.
      expect((await agent.exec('bash', `${attack}; true`)).exitCode).toBe(0)
      expect(await usable(agent)).toEqual(allUsable)
    })

    test('a deeply nested tree does not affect execs, and is removed with its agent', async () => {
      const agent = await server.newAgent()
      const path = server.filesOf(agent)
      const code = `
import os
for _ in range(1500): os.mkdir('a' * 50); os.chdir('a' * 50)
print('made')`
      expect(await outputOf(agent, 'python', code)).toBe('made')
      expect(await usable(agent)).toEqual(allUsable)
      expect(existsSync(path)).toBe(true)
      await agent.terminate()
      expect(existsSync(path)).toBe(false)
    })
  })
}, flags)
