// Code replaces folders and files by links while the file tools use them.
import { type Agent, SandboxFiles } from '@theazo/core'
import { expect, test } from 'vitest'
import { onEachServer, outputOf } from '../support/each-server.ts'

/** Replaces the folder `a` by a link right before the file program enters it, as concurrent code might. */
const swap = (target: string): string => `
import os
def swapping(call):
    def swapped(path, *arguments, **named):
        name = os.fsdecode(path) if isinstance(path, (str, bytes)) else ''
        if name.split('/')[-1] == 'a' and not os.path.lexists('/workspace/swapped'):
            os.rename('/workspace/tree/a', '/workspace/swapped')
            os.symlink('${target}', '/workspace/tree/a')
        return call(path, *arguments, **named)
    return swapped
os.open, os.chdir, os.scandir = map(swapping, (os.open, os.chdir, os.scandir))
`

/** The file tools of an agent, with that replacement. */
const swapped = (agent: Agent, target: string): SandboxFiles =>
  new SandboxFiles({ exec: (lang, code, options) => agent.exec(lang, `${swap(target)}\n${code}`, options) })

onEachServer((server) => {
  test('a recursive list does not follow a link that replaces a folder', async () => {
    await using agent = await server.newAgent()
    await agent.exec('bash', 'mkdir -p tree/a tree/z; touch tree/a/in tree/z/in')
    const found = await swapped(agent, '/proc/self').list('tree', { isRecursive: true })
    expect(await outputOf(agent, 'bash', 'readlink tree/a')).toBe('/proc/self') // the control: the folder was replaced
    expect(found.map(({ name }) => name)).toEqual(['a', 'z', 'z/in'])
  })

  test('a recursive removal removes nothing behind a link that replaces a folder', async () => {
    await using agent = await server.newAgent()
    await agent.exec('bash', 'mkdir -p tree/a ~/kept/deep; touch tree/a/in ~/kept/{1..50} ~/kept/deep/{1..50}')
    const removed = swapped(agent, '/home/agent/kept').remove('tree', { isRecursive: true })
    await expect(removed).rejects.toMatchObject({ name: 'FileError' })
    expect(await outputOf(agent, 'bash', 'readlink tree/a; find ~/kept -type f | wc -l')).toBe('/home/agent/kept\n100')
    await agent.files.remove('tree', { isRecursive: true })
    expect(await outputOf(agent, 'bash', 'ls; find ~/kept -type f | wc -l')).toBe('swapped\n100')
  })

  test('a write does not write through a link that replaces its temporary file', async () => {
    await using agent = await server.newAgent()
    await agent.exec('bash', 'echo kept > ~/kept; mkdir folder')
    const swap = `
import subprocess, sys
code = '''
import os
while True:
    for name in os.listdir("/workspace/folder"):
        if name.startswith("."):
            try: os.unlink("/workspace/folder/" + name); os.symlink("/home/agent/kept", "/workspace/folder/" + name)
            except OSError: pass
'''
out = subprocess.DEVNULL
subprocess.Popen([sys.executable, '-c', code], stdin=out, stdout=out, stderr=out, start_new_session=True)`
    await agent.exec('python', swap)
    for (let count = 0; count < 10; count += 1) {
      await agent.exec('bash', 'rm -f folder/file') // it may be a link by now, and a write follows a link at its own path
      await agent.files.write('folder/file', 'x'.repeat(300_000)).catch(() => {})
    }
    expect(await outputOf(agent, 'bash', 'cat ~/kept; stat -c %a ~/kept')).toBe('kept\n644')
  })
})
