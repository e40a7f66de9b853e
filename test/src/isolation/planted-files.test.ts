// Code plants files that interpreters load by themselves. They run only where the language of the user's program looks
// for them.
import { expect, test } from 'vitest'
import type { Agent } from '@theazo/core'
import { allUsable, onEachServer, outputOf, usable } from '../support/each-server.ts'
import { processesOfAgent } from './sandbox-processes.ts'

/** Records the process that runs it in /tmp/ran, and prints PLANTED. */
const python = `
import os
with open('/tmp/ran', 'a') as f: f.write(f'python {os.getpid()} {os.getppid()}\\n')
print('PLANTED')`
const node = `require('node:fs').appendFileSync('/tmp/ran', 'node ' + process.pid + '\\n'); console.log('PLANTED')`
const bash = `echo bash $$ >> /tmp/ran; echo PLANTED`

const modules = [
  'sitecustomize',
  'usercustomize',
  'site',
  'os',
  'wire',
  'job',
  'kernel',
  'worker',
  'kinds',
  'hands',
  'lines',
  'spawn',
  'interpreter',
  'reaper',
  'processes',
  'marshal',
  'signal',
  'json',
  'gc',
  'random',
  'typing',
  'traceback',
]
const version = 'v=$(python3 -c "import sys; print(sys.version_info.minor)")'

const plants: Record<string, string> = {
  'Python modules of /workspace and home': modules
    .flatMap((name) => [`/workspace/${name}.py`, `/home/agent/${name}.py`])
    .map((path) => put(path, python))
    .join('\n'),
  'a .pth file and customization of the user': [
    version,
    'd=/home/agent/.local/lib/python3.$v/site-packages; mkdir -p $d',
    put('$d/planted.pth', `import planted_module`),
    put('$d/planted_module.py', python),
    put('$d/usercustomize.py', python),
    put('/home/agent/.pythonrc', python),
    put('/workspace/pyvenv.cfg', 'home = /workspace'),
    put('/workspace/python311._pth', '/workspace'),
  ].join('\n'),
  'start-up files of bash': ['.bashrc', '.bash_profile', '.profile', '.bash_login', '.bash_logout', '.inputrc', '.env']
    .flatMap((name) => [put(`/home/agent/${name}`, bash), put(`/workspace/${name}`, bash)])
    .join('\n'),
  'modules and configuration of Node': [
    'mkdir -p /workspace/node_modules/{typescript,node:fs,fs,tslib,amaro} /home/agent/.node_modules',
    ...['typescript', 'node:fs', 'fs', 'tslib', 'amaro'].map((name) =>
      put(`/workspace/node_modules/${name}/index.js`, node),
    ),
    put('/workspace/package.json', '{"type":"commonjs","imports":{"#x":"./x.js"},"main":"./index.js"}'),
    put('/workspace/index.js', node),
    put('/workspace/main.ts', node),
    put('/workspace/node.config.json', '{"nodeOptions":{"require":["/workspace/index.js"]}}'),
    put('/workspace/.env', 'NODE_OPTIONS=--require=/workspace/index.js'),
    put('/home/agent/.noderc', node),
    put('/home/agent/.npmrc', 'node-options=--require=/workspace/index.js'),
    put('/workspace/tsconfig.json', '{"compilerOptions":{"jsx":"react"}}'),
  ].join('\n'),
  'programs by the names of interpreters': ['python3', 'node', 'bash', 'sh', 'env']
    .flatMap((name) => [
      put(`/workspace/${name}`, `#!/bin/sh\n${bash}`),
      put(`/home/agent/${name}`, `#!/bin/sh\n${bash}`),
      put(`/tmp/${name}`, `#!/bin/sh\n${bash}`),
      `chmod +x /workspace/${name} /home/agent/${name} /tmp/${name}`,
    ])
    .join('\n'),
}

function put(path: string, text: string): string {
  return `cat > "${path}" <<'END'\n${text}\nEND`
}

/** The processes that ran a planted file. */
const ran = async (agent: Agent): Promise<string> => await outputOf(agent, 'bash', 'cat /tmp/ran 2>/dev/null; true')

onEachServer((server) => {
  test.each(Object.keys(plants).filter((name) => !/Python|\.pth/.test(name)))(
    '%s do not run, and change no result',
    async (name) => {
      await using agent = await server.newAgent()
      expect(await outputOf(agent, 'bash', `${plants[name]}\ngrep -rl PLANTED /workspace /home/agent | wc -l`)).toMatch(
        /^[1-9]/,
      )
      expect(await usable(agent)).toEqual(allUsable)
      expect(await ran(agent)).toBe('')
    },
  )

  test.each(Object.keys(plants).filter((name) => /Python|\.pth/.test(name)))(
    "%s never run in the supervisor, and change no other language's result",
    async (name) => {
      await using agent = await server.newAgent()
      await agent.exec('bash', plants[name] ?? '')
      expect(await outputOf(agent, 'bash', 'echo bash')).toBe('bash')
      expect(await outputOf(agent, 'typescript', 'console.log("typescript")')).toBe('typescript')
      expect(await ran(agent)).toBe('')
      // The control: the user's own Python code finds the file, as `python3` would.
      const { stdout } = await agent.exec('python', 'import usercustomize')
      expect(stdout).toContain('PLANTED')
      expect(await ran(agent)).not.toMatch(/^python (1|\d+ 1)$/m)
    },
  )

  test('a restarted supervisor runs no planted file', async () => {
    await using agent = await server.newAgent()
    await agent.exec('bash', Object.values(plants).join('\n'))
    const [first] = await processesOfAgent(agent)
    await agent.exec('bash', 'rm -rf /tmp/ran')
    process.kill(first?.pid ?? 0, 'SIGKILL')
    await expect.poll(async () => (await processesOfAgent(agent))[0]?.pid).not.toBe(first?.pid)
    expect(await ran(agent)).toBe('')
    expect(await outputOf(agent, 'bash', 'echo bash')).toBe('bash')
    expect(await outputOf(agent, 'typescript', 'console.log("typescript")')).toBe('typescript')
    expect(await ran(agent)).toBe('')
  })

  test.each([
    ['PYTHONSTARTUP', 'python', '/tmp/planted.py'],
    ['PYTHONINSPECT', 'python', '1'],
    ['BASH_ENV', 'bash', '/tmp/planted.sh'],
    ['ENV', 'bash', '/tmp/planted.sh'],
    ['NODE_OPTIONS', 'typescript', '--require=/tmp/planted.cjs'],
    ['LD_PRELOAD', 'bash', '/tmp/planted.so'],
  ] as const)('%s that one exec exports is not set in the next', async (name, lang, value) => {
    await using agent = await server.newAgent()
    await agent.exec(
      'bash',
      `${put('/tmp/planted.py', python)}\n${put('/tmp/planted.sh', bash)}\n${put('/tmp/planted.cjs', node)}`,
    )
    expect(await outputOf(agent, 'bash', `export ${name}=${value}; env | grep ^${name}=`)).toContain(`${name}=${value}`)
    await agent.exec('python', `import os; os.environ['${name}'] = '${value}'; os.putenv('${name}', '${value}')`)
    await agent.exec('typescript', `process.env['${name}'] = '${value}'`)
    expect(await usable(agent)).toEqual(allUsable)
    expect(
      await outputOf(
        agent,
        lang,
        {
          python: `import os; print(os.environ.get('${name}', 'none'))`,
          bash: `echo "\${${name}:-none}"`,
          typescript: `console.log(process.env['${name}'] ?? 'none')`,
        }[lang],
      ),
    ).toBe('none')
    expect(await ran(agent)).toBe('')
  })

  test('changes of one exec to its interpreter do not affect the next', async () => {
    await using agent = await server.newAgent()
    const spoil = `
import builtins, sys, json, os
builtins.print = lambda *a, **k: None
sys.modules['json'] = None
json.dumps = None
os.getcwd = lambda: 'spoilt'
sys.path.insert(0, '/tmp')
os.umask(0o777); os.chdir('/tmp')`
    await agent.exec('python', spoil)
    await agent.exec(
      'typescript',
      `Object.prototype.toString = () => 'spoilt'; console.log = () => {}; process.chdir('/tmp'); process.umask(0o777)`,
    )
    await agent.exec('bash', 'echo() { :; }; export -f echo; cd /tmp; umask 777; alias ls=false; set -e; trap "" INT')
    expect(
      await outputOf(
        agent,
        'python',
        'import json, os, sys; print(json.dumps([os.getcwd(), "/tmp" in sys.path, os.umask(0)]))',
      ),
    ).toBe('["/workspace", false, 18]')
    expect(await outputOf(agent, 'typescript', 'console.log(process.cwd(), String({}), process.umask())')).toBe(
      '/workspace [object Object] 18',
    )
    expect(await outputOf(agent, 'bash', 'echo "$PWD $(umask)"')).toBe('/workspace 0022')
  })
})
