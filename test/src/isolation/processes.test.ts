// Code cannot see, signal or read from processes of the host, the server, the supervisor and other agents.
import { execFileSync, spawn } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { allUsable, inheritedText, onEachServer, outputOf, serverSecret, usable } from '../support/each-server.ts'
import { hostProcess, leave, processesOfAgent } from './sandbox-processes.ts'

onEachServer((server) => {
  describe('the host', () => {
    test("the server's environment, key and arguments cannot be found in the sandbox", async () => {
      const { agent, dataDir, apiKey } = server
      const pid = server.child.pid ?? 0
      expect(hostProcess(pid).commandLine).toContain(dataDir)
      expect(readFileSync(`/proc/${pid}/environ`, 'utf8')).toContain(serverSecret)
      const all = await outputOf(
        agent,
        'bash',
        'env; cat /proc/*/environ /proc/*/cmdline /proc/*/comm | tr "\\0" "\\n"',
      )
      expect(all).toContain('HOME=/home/agent')
      expect(all).toContain('theazo-init')
      for (const text of [serverSecret, apiKey, dataDir, 'THEAZO']) expect(all).not.toContain(text)
    })

    test('code has the documented environment variables, in every language', async () => {
      const names = 'HOME LANG PATH PIP_BREAK_SYSTEM_PACKAGES PYTHONPATH PYTHONUNBUFFERED TERM USER'.split(' ')
      const own = (text: string): string[] =>
        JSON.parse(text)
          .filter((name: string) => !/^(PWD|OLDPWD|SHLVL|_|LC_CTYPE)$/.test(name))
          .toSorted()
      expect(
        own(await outputOf(server.agent, 'python', 'import json, os; print(json.dumps(list(os.environ)))')),
      ).toEqual(names)
      expect(
        own(await outputOf(server.agent, 'typescript', 'console.log(JSON.stringify(Object.keys(process.env)))')),
      ).toEqual(names)
      expect(
        own(await outputOf(server.agent, 'bash', `python3 -c 'import json, os; print(json.dumps(list(os.environ)))'`)),
      ).toEqual(names)
    })

    test('no process of a sandbox has a descriptor that the server inherited', async () => {
      const serverFds = readdirSync(`/proc/${server.child.pid}/fd`)
      expect(serverFds).toContain('9')
      expect(readFileSync(`/proc/${server.child.pid}/fd/9`, 'utf8')).toBe(inheritedText)
      const read = `
import os
found = []
for fd in range(3, 4096):
    try: os.fstat(fd); found.append(fd)
    except OSError: pass
print(found)`
      expect(await outputOf(server.agent, 'python', read)).toBe('[]')
      expect(await outputOf(server.agent, 'bash', 'cat <&9')).toMatch(/Bad file descriptor/)
      expect(
        await outputOf(
          server.agent,
          'typescript',
          `import { fstatSync } from 'node:fs'\ntry { fstatSync(9); console.log('open') } catch { console.log('closed') }`,
        ),
      ).not.toBe(inheritedText)
      if (process.getuid?.() !== 0) return // its own user may not read the supervisor's descriptors
      for (const { pid, commandLine } of await processesOfAgent(server.agent)) {
        const targets = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => targetOf(`/proc/${pid}/fd/${fd}`))
        const strange = targets.filter(
          (target) =>
            !/^(pipe:|\/dev\/null$|anon_inode:|\/memfd:(stdin|job) |\/run\/theazo\/|\/opt\/theazo$|\/[^ ]*scratch\/[^ ]* \(deleted\)$|socket:)/.test(
              target,
            ),
        )
        expect([commandLine, strange]).toEqual([commandLine, []])
      }
    })

    test('code cannot see host processes', async () => {
      const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
      expect(pids).toContain(String(process.pid))
      const seen = (await outputOf(server.agent, 'bash', 'ls /proc | grep -E "^[0-9]+$"')).split('\n')
      expect(seen.length).toBeLessThan(20)
      expect(
        await outputOf(server.agent, 'bash', 'ps -e -o args= 2>/dev/null || cat /proc/*/cmdline | tr "\\0" " "'),
      ).not.toMatch(/vitest|bin\.js/)
    })

    test('code cannot signal host processes, by pid, by group or with -1', async () => {
      const victim = spawn('sleep', ['1000'], server.isRoot ? {} : userOf(server.child.pid ?? 0))
      try {
        const { pid = 0 } = victim
        await using agent = await server.newAgent()
        const other = `sleep 1000 & kill -KILL $!; wait $! 2>/dev/null; echo $?; kill -KILL ${pid}; kill -KILL -- -${pid}; kill -KILL ${server.child.pid}`
        expect(await outputOf(agent, 'bash', other)).toMatch(/^137\n(.*No such process\n?){3}$/)
        await agent.exec('bash', 'kill -KILL -1')
        expect(hostProcess(pid).status('State')).toMatch(/^S/)
        expect(server.child.exitCode).toBeNull()
      } finally {
        victim.kill('SIGKILL')
      }
    })

    test.each(['root', 'cwd', 'exe', 'fd/0', 'mem', 'environ', 'maps', 'io', 'ns/mnt', 'map_files', 'stack', 'auxv'])(
      'code cannot read /proc/1/%s',
      async (name) => {
        const code = `
import os
for pid in ('self', '1'):
    try:
        path = f'/proc/{pid}/${name}'
        if os.path.islink(path) or '${name}' in ('root', 'cwd', 'exe', 'fd/0', 'ns/mnt'): os.readlink(path)
        elif os.path.isdir(path): os.listdir(path)
        else: os.close(os.open(path, os.O_RDONLY))
        print('open')
    except OSError as e: print(e.strerror)`
        expect(await outputOf(server.agent, 'python', code)).toMatch(
          /^open\n(Permission denied|Operation not permitted)$/,
        )
      },
    )
  })

  describe('the supervisor', () => {
    const report = 'echo still here'
    test.each([
      ['every signal', 'for s in $(seq 1 64); do kill -$s 1 2>/dev/null; done'],
      ['SIGINT', 'for i in $(seq 20); do kill -INT 1; done'],
      ['lower limits', 'for l in nofile nproc fsize as cpu data stack; do prlimit --pid 1 --$l=1; done'],
      ['the lowest priority', 'renice -n 19 1; chrt --idle --pid 0 1; ionice -c 3 -p 1; taskset -p 1 1'],
      ['a worse out-of-memory score', 'echo 1000 > /proc/1/oom_score_adj'],
    ])('continues under %s', async (_what, attack) => {
      await using agent = await server.newAgent()
      const before = await processesOfAgent(agent)
      const { stdout } = await agent.exec('bash', `${attack}\n${report}`)
      expect(stdout).toMatch(/still here\n$/)
      expect(await usable(agent)).toEqual(allUsable)
      expect((await processesOfAgent(agent))[0]?.pid).toBe(before[0]?.pid)
    })

    test.each([
      ['kills all processes', 'kill -KILL -1'],
      [
        'kills pid by pid',
        'for i in 1 2 3; do for p in /proc/[0-9]*; do p=${p#/proc/}; [ $p != $$ ] && kill -KILL $p; done; done 2>/dev/null',
      ],
      ['kills interpreters by name', 'pkill -KILL python3; pkill -KILL node'],
      ['stops all processes', 'kill -STOP -1'],
      [
        'stops pid by pid, over and over',
        'for i in $(seq 20); do for p in /proc/[0-9]*; do p=${p#/proc/}; [ $p != $$ ] && kill -STOP $p; done; done 2>/dev/null',
      ],
      ['stops interpreters by name', 'pkill -STOP python3; pkill -STOP node'],
      ['interrupts all processes', "trap '' INT; kill -INT -1"],
      ['sends SIGHUP to all processes', "trap '' HUP; kill -HUP -1"],
      ['starts the inspector of warm nodes', 'pkill -USR1 node; pkill -USR2 node'],
    ])('continues after code that %s', async (_what, attack) => {
      await using agent = await server.newAgent()
      expect(await usable(agent)).toEqual(allUsable) // from now on there is a warm node
      await agent.exec('bash', attack)
      expect(await usable(agent)).toEqual(allUsable)
    })

    test('that the host kills does not end other sandboxes, and the next exec has a new one', async () => {
      await using other = await server.newAgent()
      await using agent = await server.newAgent()
      await agent.files.write('kept', 'kept')
      const [first] = await processesOfAgent(agent)
      const ofOther = await processesOfAgent(other)
      process.kill(first?.pid ?? 0, 'SIGKILL')
      await expect.poll(() => hostProcess(first?.pid ?? 0).status('State')).toBe('')
      expect(await usable(agent)).toEqual(allUsable)
      expect(await agent.files.readText('kept')).toBe('kept')
      expect((await processesOfAgent(other))[0]?.pid).toBe(ofOther[0]?.pid)
    })
  })

  test('a process of another agent can be neither seen nor signalled', async () => {
    await using other = await server.newAgent()
    await other.exec('bash', leave('sleep 1001'))
    const theirs = (await processesOfAgent(other)).find(({ commandLine }) => commandLine === 'sleep 1001')
    await using agent = await server.newAgent()
    expect(await outputOf(agent, 'bash', `${leave('sleep 1002')}; pgrep -fx "sleep 100[12]" | wc -l`)).toBe('1')
    await agent.exec(
      'bash',
      `kill -KILL ${theirs?.pid} ${theirs?.inside}; for p in $(seq 2 400); do kill -KILL $p; done 2>/dev/null`,
    )
    expect(hostProcess(theirs?.pid ?? 0).status('State')).toMatch(/^S/)
  })
})

/** The user of the victim: code of a plain-user server has the same user as the server. */
function userOf(pid: number): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {}
  const id = Number(hostProcess(pid).status('Uid').split('\t')[0])
  expect(execFileSync('id', ['-u'], { uid: id, gid: id, encoding: 'utf8' }).trim()).toBe(String(id))
  return { uid: id, gid: id }
}

/** Empty if the descriptor was closed after the listing. */
function targetOf(path: string): string[] {
  try {
    return [readlinkSync(path)]
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
