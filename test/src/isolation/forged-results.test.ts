// Files that code leaves behind must not change the results of later programs or of the file tools.
//
// Names that the runtime, or an interpreter that it starts, looks up in folders that code can write to:
//
// | name | blocked or accepted |
// | --- | --- |
// | /workspace/main.ts, main.ts.js, main.ts/index.js | blocked: node's entry is below /opt/theazo, which is read-only |
// | the same for a worker or a fork of the program | blocked: the entry is compared before links are followed |
// | package.json of /workspace and / | blocked: the runtime sets the format of the program; / is read-only |
// | sitecustomize, usercustomize in /workspace and ~/.local | blocked: not imported, with any environment |
// | lines of code in ~/.local/…/*.pth | blocked: only the folders that they name are used |
// | encodings and other modules that Python starts with | blocked: PYTHONPATH is set after the start |
// | modules of the file program (json, stat, …) | blocked: its path contains only Python's own folders |
// | BASH_ENV, ENV, ~/.bashrc and the like | blocked: no such variable, and the shell is not interactive (planted-files) |
// | names below /tmp | blocked: the runtime looks up nothing there |
// | interpreters by their names in /workspace, ~, /tmp | blocked: absolute paths below /usr and /opt (planted-files) |
// | /run/theazo/N | blocked: Landlock (kernel 5.19); code that is read is not opened twice |
// | NODE_OPTIONS, PYTHON… of an exec's own `env` | accepted: the caller requests them |
// | json.py beside the program, node_modules, imported | accepted: as beside any program; code asks for its own modules |
// | python3, node or bash that code itself starts | accepted: they start as usual, with PYTHONPATH |
import { expect, test } from 'vitest'
import type { Agent } from '@theazo/core'
import { onEachServer, outputOf } from '../support/each-server.ts'

const forged = 'console.log("FORGED")'

const entries: Record<string, string> = {
  'a link': `echo '${forged}' > evil.ts; ln -s evil.ts main.ts`,
  'a dangling link whose target is created later': `ln -s later.ts main.ts; echo '${forged}' > later.ts`,
  'a file with one more extension': `echo '${forged}' > main.ts.js; echo '${forged}' > main.ts.json`,
  'a folder with an index': `mkdir main.ts; echo '${forged}' > main.ts/index.js`,
  'a folder with a package': `mkdir main.ts; echo '{"main":"x.js"}' > main.ts/package.json; echo '${forged}' > main.ts/x.js`,
  'files with the names that the runtime uses': `for n in main main-1 main-2 main-3; do echo '${forged}' > $n.ts; done`,
  'a package of another format': `echo '{"type":"commonjs","imports":{"node:fs":"./main.ts"}}' > package.json`,
}

const where = `
import { x } from './x.ts'
await Promise.resolve()
const places = [import.meta.url, import.meta.filename, process.argv[1], require.resolve('./x.ts')]
console.log(x, new Set(places.map((place) => place!.replace('file://', '').replace(/[^/]+$/, ''))).size, new Error().stack!.includes(import.meta.url))`

const customize = (name: string): string => `import os; os.write(1, b'FORGED by ${name}\\n')`
const site = 'site=$(python3 -S -s -c "import site; print(site.getusersitepackages())"); mkdir -p $site'

const plantPython = [
  site,
  ...['sitecustomize', 'usercustomize'].flatMap((name) =>
    ['.', '~', '$site'].map((folder) => `echo "${customize(name)}" > ${folder}/${name}.py`),
  ),
  `mkdir -p encodings; echo "${customize('encodings')}" > encodings/__init__.py`,
  `echo "${customize('a .pth file')}" > $site/planted.py; echo 'import planted' > $site/planted.pth`,
  'mkdir -p ~/named; echo "v = 7" > ~/named/of_folder.py; echo /home/agent/named >> $site/planted.pth',
  'echo "v = 8" > $site/of_site.py; echo "v = 9" > of_workspace.py',
].join('\n')

const kept = 'import of_folder, of_site, of_workspace; print(of_folder.v, of_site.v, of_workspace.v)'

const answers = async (agent: Agent): Promise<string[]> => [
  await outputOf(agent, 'typescript', 'console.log("first")'),
  await outputOf(agent, 'typescript', 'console.log("by a warm node" as string)'),
]

onEachServer((server) => {
  test.each(Object.keys(entries))('a TypeScript program is not replaced by %s at the path of main.ts', async (name) => {
    await using agent = await server.newAgent()
    await agent.exec('bash', `echo 'export const x: number = 5' > x.ts; ${entries[name]}`)
    expect(await answers(agent)).toEqual(['first', 'by a warm node'])
    // The user's package.json sets the format of their own modules, and must not set that of the program.
    if (!name.includes('package of')) expect(await outputOf(agent, 'typescript', where)).toBe('5 1 true')
    // The control: the planted file runs if a program imports it.
    if (/link|runtime uses/.test(name))
      expect(await outputOf(agent, 'typescript', 'import "/workspace/main.ts"')).toBe('FORGED')
  })

  test('a worker and a fork of a program run that program, whatever file code puts at its path', async () => {
    await using agent = await server.newAgent()
    const code = `
import { fork } from 'node:child_process'
import { writeFileSync, symlinkSync } from 'node:fs'
import { Worker, isMainThread } from 'node:worker_threads'
if (process.env.KID) console.log('fork')
else if (!isMainThread) console.log('worker')
else {
  writeFileSync('/workspace/evil.ts', 'console.log("FORGED")')
  symlinkSync('/workspace/evil.ts', process.argv[1]!)
  new Worker(new URL(import.meta.url)).on('exit', () => fork(process.argv[1]!, { env: { ...process.env, KID: '1' } }))
}`
    expect(await outputOf(agent, 'typescript', code)).toBe('worker\nfork')
  })

  test.each([
    ['without options', {}],
    ['with variables that an interpreter reads', { PYTHONHASHSEED: '1' }],
    ['with a PYTHONPATH', { PYTHONPATH: '/home/agent' }],
    ['with a safe path', { PYTHONSAFEPATH: '1' }],
  ])('no planted file runs before a Python program %s, and the modules of the user are found', async (_how, env) => {
    await using agent = await server.newAgent()
    await agent.exec('bash', plantPython)
    const { stdout, stderr, exitCode } = await agent.exec('python', kept, { env })
    expect([stdout, stderr, exitCode]).toEqual(['7 8 9\n', '', 0])
    const failing = await agent.exec('python', 'import sys; sys.exit(len(sys.argv) + 2)', { env })
    expect([failing.stdout, failing.exitCode]).toEqual(['', 3])
    // The control: a Python process that code starts itself runs it.
    await agent.exec('bash', 'rm -r encodings')
    expect(await outputOf(agent, 'bash', 'python3 -c 1')).toContain('FORGED')
  })

  test('planted files do not change the results of the file tools', async () => {
    await using agent = await server.newAgent()
    await agent.exec('bash', plantPython)
    const lie = 'import os, sys; os.listdir = os.lstat = os.open = None; sys.stdout = None'
    await agent.exec(
      'bash',
      `${site}; for f in sitecustomize.py usercustomize.py json.py stat.py $site/usercustomize.py; do echo '${lie}' > $f; done
echo 'import os, sys; os.lstat = None' > $site/planted.pth`,
    )
    await agent.files.write('folder/file', 'content')
    expect(await agent.files.readText('folder/file')).toBe('content')
    expect((await agent.files.list('folder')).map(({ name }) => name)).toEqual(['file'])
  })
})
