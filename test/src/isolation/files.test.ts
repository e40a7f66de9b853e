// Code can neither read nor write files of the host, the server or other agents, under any path.
import { existsSync, linkSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { errorOf } from '../support/error-of.ts'
import { onEachServer, outputOf } from '../support/each-server.ts'

onEachServer((server) => {
  test.each(
    [
      '/etc/shadow',
      '/root',
      '/sys',
      '/var',
      '/home',
      '/boot',
      '/mnt',
      '/run/systemd',
      '/sys/class',
      '/sys/kernel',
      '/sys/firmware',
      '/var/lib/dpkg',
      '/var/log',
      '/etc/ssh',
      '/etc/ssl/private',
      '/etc/hostname',
      '/etc/machine-id',
      '/etc/resolv.conf',
      '/etc/environment',
      '/etc/fstab',
      '/etc/gitconfig',
      '/etc/npmrc',
      '/etc/pip.conf',
      '/etc/wgetrc',
      '/etc/maven/settings.xml',
      '/proc/kcore',
      '/dev/kmsg',
      '/dev/vda',
      '/dev/loop0',
      '/dev/mem',
      '/dev/kvm',
      '/dev/fuse',
      '/dev/net/tun',
      '/dev/ptmx',
    ].filter((path) => existsSync(path)),
  )('%s of the host cannot be opened', async (path) => {
    expect(statSync(path)).toBeDefined()
    const code = `
import os
for path in ('/etc/passwd', ${JSON.stringify(path)}):
    try: os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK)); print('open')
    except OSError: print('refused')`
    const said = await outputOf(server.agent, 'python', code)
    // /home exists, and contains only the agent's own folder.
    if (path === '/home') expect(await outputOf(server.agent, 'bash', 'ls /home')).toBe('agent')
    else expect(said).toBe('open\nrefused')
  })

  test("the server's data folder, key and database do not exist in the sandbox", async () => {
    for (const name of ['api-key', 'lock', 'instance-id', 'theazo.db', '.'].filter((file) =>
      existsSync(join(server.dataDir, file)),
    )) {
      const path = join(server.dataDir, name)
      expect(
        await outputOf(
          server.agent,
          'bash',
          `ls -d ${path} /proc/1/root${path} /proc/self/root${path} /proc/self/cwd/..${path}`,
        ),
      ).not.toContain('api-key\n')
      expect((await server.agent.exec('bash', `ls -d ${path}`)).exitCode).not.toBe(0)
    }
    expect(readFileSync(join(server.dataDir, 'api-key'), 'utf8').trim()).toBe(server.apiKey)
  })

  test('no readable file contains the API key, including /proc', async () => {
    await using agent = await server.newAgent()
    await agent.files.write('control', `x${server.apiKey}x`)
    const code = `grep -rIlsF ${server.apiKey.slice(0, 30)} /workspace /home /tmp /etc /run /opt/theazo /dev/shm /proc/[0-9]*/{environ,cmdline,maps,mountinfo,comm,status}; true`
    const found = (await outputOf(agent, 'bash', code))
      .split('\n')
      .filter((path) => !/^\/(run\/theazo|proc)\/\d+\/(main\.sh|cmdline)$/.test(path))
    expect(found).toEqual(['/workspace/control'])
  })

  test("another agent's files cannot be reached by any path or link", async () => {
    await using other = await server.newAgent()
    await other.files.write('secret', 'theirs')
    const theirs = join(server.filesOf(other), 'workspace/secret')
    expect(readFileSync(theirs, 'utf8')).toBe('theirs')
    const tries = `
ln -sfn ${theirs} link; ln -sfn ${join(theirs, '..')} folder
cat ${theirs} /proc/1/root${theirs} link folder/secret; ls /workspace/.. ; find / -name secret 2>/dev/null; ln ${theirs} hard; cp -rL folder copied`
    const said = await outputOf(server.agent, 'bash', tries)
    expect(said).not.toContain('theirs')
    expect(said).toContain('workspace') // the control: the search ran
    await server.agent.exec('bash', 'rm -rf link folder hard copied')
  })

  describe('links', () => {
    test('through links, the client reaches only files that the sandbox can reach', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'theazo-linked-'))
      try {
        const outside = join(folder, 'precious')
        writeFileSync(outside, 'kept', { mode: 0o666 })
        const { agent } = server
        symlinkSync(outside, join(folder, 'control'))
        expect(readFileSync(join(folder, 'control'), 'utf8')).toBe('kept')
        await agent.exec(
          'bash',
          `ln -sfn ${outside} file; ln -sfn ${folder} folder; ln -sfn control inner; echo mine > control`,
        )
        expect(await agent.files.readText('inner')).toBe('mine\n')
        const paths = ['file', 'folder/precious', `/workspace/../..${outside}`, `/proc/1/root${outside}`]
        for (const path of paths) {
          expect(await errorOf(agent.files.read(path))).toMatchObject({ name: 'FileError' })
        }
        for (const path of paths) {
          await agent.files.write(path, 'changed').catch(() => {})
          await agent.files.remove(path).catch(() => {})
        }
        expect(readFileSync(outside, 'utf8')).toBe('kept')
        await agent.exec('bash', 'rm -rf file folder inner control')
      } finally {
        rmSync(folder, { recursive: true })
      }
    })

    test('terminating an agent does not follow its links', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'theazo-linked-'))
      try {
        writeFileSync(join(folder, 'precious'), 'kept')
        const linker = await server.newAgent()
        const path = server.filesOf(linker)
        await linker.exec(
          'bash',
          `ln -s ${folder} folder; ln -s ${folder}/precious ~/file; ln -s / root; mkdir -m 0 closed`,
        )
        expect(existsSync(join(path, 'workspace'))).toBe(true)
        await linker.terminate()
        expect(existsSync(join(path, 'workspace'))).toBe(false)
        expect(readFileSync(join(folder, 'precious'), 'utf8')).toBe('kept')
      } finally {
        rmSync(folder, { recursive: true })
      }
    })

    test('code cannot make a hard link to a host file', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'theazo-hard-'))
      writeFileSync(join(folder, 'a'), '')
      linkSync(join(folder, 'a'), join(folder, 'b')) // the control: the host can make one
      rmSync(folder, { recursive: true })
      const code =
        'touch a && ln a b && echo linked; for f in /usr/bin/bash /etc/passwd /opt/theazo/wire.pyc /opt/node/bin/node; do ln $f c; done; ls c'
      const said = await outputOf(server.agent, 'bash', code)
      expect(said).toMatch(/^linked\n(ln: .*(cross-device|not permitted).*\n){4}ls: /)
    })
  })

  describe('archives', () => {
    // A zip and a tar with names that lead out of the folder, and a link that the next entry is written through.
    const pack = (target: string): string => `
import io, os, tarfile, zipfile
names = ['/proc/1/root${target}', '${target}', '../../..${target}', '../../../../../..${target}']
with zipfile.ZipFile('/workspace/slip.zip', 'w') as z:
    for name in names: z.writestr(name, 'slipped')
    z.writestr('fine.txt', 'fine')
with tarfile.open('/workspace/slip.tar', 'w') as t:
    link = tarfile.TarInfo('out'); link.type = tarfile.SYMTYPE; link.linkname = '${join(target, '..')}'
    t.addfile(link)
    for name in [*names, 'out/slipped', 'fine.txt']:
        info = tarfile.TarInfo(name); info.size = 7
        t.addfile(info, io.BytesIO(b'slipped'))`
    test.each([
      [
        'python',
        'import shutil, tarfile, zipfile\nzipfile.ZipFile("slip.zip").extractall(".")\nt = tarfile.open("slip.tar")\nfor m in t:\n  try: t.extract(m, ".")\n  except Exception as e: print(e)',
      ],
      ['bash', 'tar -xPf slip.tar; tar -xf slip.tar; python3 -m zipfile -e slip.zip .'],
    ] as const)('unpacking with %s writes only inside the sandbox', async (lang, unpack) => {
      const folder = mkdtempSync(join(tmpdir(), 'theazo-slip-'))
      try {
        const target = join(folder, 'slipped')
        await using agent = await server.newAgent()
        await agent.exec('python', pack(target))
        await agent.exec(lang, unpack)
        expect(await agent.files.exists('fine.txt')).toBe(true) // the control: the archive was unpacked
        expect(existsSync(target)).toBe(false)
      } finally {
        rmSync(folder, { recursive: true })
      }
    })

    test('the client cannot write outside the sandbox with any path', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'theazo-slip-'))
      try {
        const { agent } = server
        for (const path of [
          `../../../../..${folder}/slipped`,
          `${folder}/slipped`,
          `/proc/self/root${folder}/slipped`,
          `/proc/1/root${folder}/slipped`,
          `/workspace/./../..${folder}/slipped`,
        ]) {
          await agent.files.write(path, 'x').catch(() => {})
        }
        await agent.files.write('../workspace/control', 'x')
        expect(readFileSync(join(server.filesOf(agent), 'workspace/control'), 'utf8')).toBe('x')
        expect(existsSync(join(folder, 'slipped'))).toBe(false)
      } finally {
        rmSync(folder, { recursive: true })
      }
    })
  })

  test.each([
    ['the root folder', '/x', '/tmp/x'],
    ['/usr', '/usr/bin/x', '/tmp/x'],
    ['/etc', '/etc/x', '/tmp/x'],
    ['/dev', '/dev/x', '/dev/shm/x'],
    ['/opt', '/opt/x', '/tmp/x'],
    ['the supervisor', '/opt/theazo/x', '/tmp/x'],
    ['/run', '/run/x', '/tmp/x'],
    ['the folder of execs', '/run/theazo/x', '/tmp/x'],
    ['/home', '/home/x', '/home/agent/x'],
    ['/proc', '/proc/x', '/tmp/x'],
  ])('code cannot create a file in %s', async (_what, refused, control) => {
    expect((await server.agent.exec('bash', `touch ${control} && rm ${control}`)).exitCode).toBe(0)
    expect(await outputOf(server.agent, 'bash', `touch ${refused}`)).toMatch(/Read-only|denied|No such/)
  })

  test.each(
    [
      '/proc/sys/kernel/core_pattern',
      '/proc/sysrq-trigger',
      '/proc/sys/vm/drop_caches',
      '/proc/sys/kernel/modprobe',
      '/proc/sys/net/ipv4/ip_forward',
      '/proc/1/oom_score_adj',
      '/usr/bin/python3',
      '/opt/node/bin/node',
      '/opt/theazo/supervisor.pyc',
      '/etc/passwd',
      '/etc/ld.so.cache',
    ].filter((path) => path.startsWith('/opt') || existsSync(path)),
  )('%s is not writable', async (path) => {
    // Does not really write: if that succeeded, it would damage the host.
    expect(
      await outputOf(
        server.agent,
        'bash',
        `test -e ${path} && echo there; test -w ${path} && echo writable; test -w /workspace && echo control`,
      ),
    ).toBe('there\ncontrol')
  })

  test('code can neither make nor unpack device files', async () => {
    const code = `mknod pipe p && echo control; mknod null c 1 3; mknod disk b 254 0; cp -a /dev/null copied; ls -l`
    const said = await outputOf(server.agent, 'bash', `mkdir dev; cd dev; ${code}`)
    expect(said).toContain('control')
    expect(said).toMatch(/^prw/m)
    expect(said).not.toMatch(/^[bc][rwx-]{9} /m)
    const flags =
      'import os\nprint([bool(os.statvfs(p).f_flag & os.ST_NODEV) for p in ("/workspace", "/home/agent", "/tmp", "/dev/shm", "/run/theazo", "/usr")])'
    expect(await outputOf(server.agent, 'python', flags)).toBe('[True, True, True, True, True, True]')
  })
})
