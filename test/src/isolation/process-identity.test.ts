// User, groups and capabilities of the processes of a sandbox, and that code cannot gain more.
import { readlinkSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { onEachServer, outputOf } from '../support/each-server.ts'
import { hostProcess, leave, processesOfAgent, type SandboxProcess } from './sandbox-processes.ts'

onEachServer((server) => {
  test('every process, also the warm node, is an ordinary user without capabilities, under the seccomp filter', async () => {
    await using agent = await server.newAgent()
    await agent.exec('typescript', '1') // from now on there is a warm node
    await agent.exec('bash', leave('python3 -m http.server'))
    const kinds = [/^theazo-init /, /^theazo-waiting \S*\/node/, /^sleep /, /^python3 -m/]
    let processes: SandboxProcess[] = []
    const seen = async (): Promise<boolean[]> => {
      processes = await processesOfAgent(agent)
      const all = processes.map(({ pid, commandLine }) => `${commandLine} ${programOf(pid)}`)
      return kinds.map((kind) => all.some((text) => kind.test(text)))
    }
    // The warm node starts with the lowest priority: on a busy machine it takes long.
    await expect.poll(seen, { timeout: 60_000 }).toEqual([true, true, true, true])
    expect(processes[0]?.inside).toBe(1)
    const none = '0'.repeat(16)
    for (const { status, commandLine } of processes) {
      const [user, ...others] = status('Uid').split('\t')
      expect([commandLine, Number(user) > 0]).toEqual([commandLine, true])
      expect([others, status('Gid').split('\t')]).toEqual([
        [user, user, user],
        [user, user, user, user],
      ])
      const caps = ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'].map(status)
      expect([commandLine, status('Groups'), ...caps]).toEqual([commandLine, '', none, none, none, none, none])
      expect([commandLine, status('NoNewPrivs'), status('Seccomp')]).toEqual([commandLine, '1', '2'])
    }
    const { status: ofServer } = hostProcess(server.child.pid ?? 0)
    expect([ofServer('NoNewPrivs'), ofServer('Seccomp')]).not.toEqual(['1', '2'])
    expect(ofServer('CapBnd')).not.toBe(none)
  }, 120_000)

  test('bubblewrap, which runs outside of the sandbox, has no more rights than its user', async () => {
    await using agent = await server.newAgent()
    const [first] = await processesOfAgent(agent)
    const bubblewrap = hostProcess(first?.parent ?? 0)
    expect(bubblewrap.commandLine).toMatch(/^\S*bwrap /)
    const { status } = bubblewrap
    expect(['Uid', 'Gid', 'Groups'].map(status)).toEqual([first?.status('Uid'), first?.status('Gid'), ''])
    const capabilities = ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'].map(status)
    expect(capabilities).toEqual(capabilities.map(() => '0'.repeat(16)))
  })

  test('the sandbox is not root, neither in its namespace nor on the host', async () => {
    const { agent } = server
    const [uid, map] = (await outputOf(agent, 'bash', 'id -u; cat /proc/self/uid_map; touch made-inside')).split('\n')
    const [inside, outside, count] = map?.trim().split(/\s+/).map(Number) ?? []
    expect(Number(uid)).toBe(inside)
    expect([outside, count]).toEqual([inside, 1])
    expect(outside).toBeGreaterThan(0)
    const made = statSync(join(server.filesOf(agent), 'workspace/made-inside'))
    expect([made.uid, made.gid]).toEqual([outside, outside])
  })

  test('a setuid bit that code sets does not give other rights', async () => {
    const { agent } = server
    await agent.exec('bash', 'cp /bin/bash suid; chmod 6755 suid')
    const { uid, gid, mode } = statSync(join(server.filesOf(agent), 'workspace/suid'))
    expect(mode & 0o4000).toBe(0o4000) // the control: the bit is set
    expect([uid > 0, gid > 0]).toEqual([true, true])
    const [as, own] = (await outputOf(agent, 'bash', './suid -pc "id -u"; id -u')).split('\n')
    expect(as).toBe(own)
  })

  test("the host's setuid programs give no rights in the sandbox", async () => {
    expect(statSync('/usr/bin/su').mode & 0o4000).toBe(0o4000)
    const code = `
import os, subprocess
print(os.stat('/usr/bin/su').st_mode & 0o4000, bool(os.statvfs('/usr').f_flag & os.ST_NOSUID))
print(subprocess.run(['/usr/bin/su', '-c', 'id -u'], capture_output=True, stdin=subprocess.DEVNULL).returncode != 0)`
    expect(await outputOf(server.agent, 'python', code)).toBe('2048 True\nTrue')
  })

  test(`two agents have ${server.isRoot ? 'two users' : "the server's user, as documented in SECURITY.md"}`, async () => {
    await using other = await server.newAgent()
    const uids = await Promise.all([server.agent, other].map((agent) => outputOf(agent, 'bash', 'id -u')))
    expect(new Set(uids).size).toBe(server.isRoot ? 2 : 1)
    expect(
      hostProcess(server.child.pid ?? 0)
        .status('Uid')
        .split('\t')[0],
    ).toBe(server.isRoot ? '0' : uids[0])
  })

  test.each([
    ['setuid', 'os.setuid(0)', 'os.setuid(os.getuid())'],
    ['setgid', 'os.setgid(0)', 'os.setgid(os.getgid())'],
    ['setresuid', 'os.setresuid(0, 0, 0)', 'os.setresuid(-1, -1, -1)'],
    ['setgroups', 'os.setgroups([0])', 'os.getgroups()'],
    [
      'giving a file to root',
      'os.chown("/workspace/made", 0, 0)',
      'os.chown("/workspace/made", os.getuid(), os.getgid())',
    ],
    ['raising an ambient capability', 'prctl(47, 2, 21, 0, 0)', 'prctl(3, 0, 0, 0, 0)'],
    ['taking a capability back', 'capset(0x20080522, 2 ** 32 - 1)', 'capset(0x20080522, 0)'],
    ['dropping no_new_privs', 'prctl(38, 0, 0, 0, 0)', 'prctl(38, 1, 0, 0, 0)'],
    ['an own map of users', 'put("/proc/self/uid_map", b"0 0 1")', 'open("/proc/self/uid_map").read()'],
    ['a better priority', 'os.setpriority(os.PRIO_PROCESS, 0, -10)', 'os.setpriority(os.PRIO_PROCESS, 0, 15)'],
    [
      'real-time scheduling',
      'os.sched_setscheduler(0, 1, os.sched_param(50))',
      'os.sched_setscheduler(0, 3, os.sched_param(0))',
    ],
    ['a higher limit of open files', 'resource.setrlimit(7, (10 ** 5, 10 ** 5))', 'resource.setrlimit(7, (100, 100))'],
    [
      'protection from the out-of-memory killer',
      'put("/proc/self/oom_score_adj", b"-500")',
      'put("/proc/self/oom_score_adj", b"700")',
    ],
  ])('%s is refused', async (_what, refused, control) => {
    const code = `
import ctypes, os, resource
libc = ctypes.CDLL(None, use_errno=True)
def checked(result):
    if result < 0: raise OSError(ctypes.get_errno(), 'refused')
def prctl(*args): checked(libc.prctl(*args))
def capset(version, bits):
    head = (ctypes.c_uint32 * 2)(version, 0)
    data = (ctypes.c_uint32 * 6)(bits, bits, 0, 0, 0, 0)
    checked(libc.capset(head, data))
def put(path, data): os.write(os.open(path, os.O_WRONLY), data)
open('/workspace/made', 'w').close()
def attempt(text):
    try: eval(text); print('done')
    except (OSError, ValueError): print('refused')
attempt(${JSON.stringify(refused)})
attempt(${JSON.stringify(control)})`
    expect(await outputOf(server.agent, 'python', code)).toBe('refused\ndone')
  })
})

/** Empty if the caller may not read it, or if the process is gone. */
function programOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`)
  } catch {
    return ''
  }
}
