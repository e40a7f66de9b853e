import { execFile } from 'node:child_process'
import { access, constants, readFile, stat, statfs } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { promisify } from 'node:util'
import type { SandboxOptions } from '../compute/local/sandbox-options.ts'
import { agentFindings } from './agent-findings.ts'
import type { Finding } from './finding.ts'
import { limitFindings } from './limit-findings.ts'

const run = promisify(execFile)
const oldestNode = [22, 18] as const
const bubblewrapFix = 'apt-get install -y bubblewrap'

/** Runs all checks. Creates a sandbox and runs code in it rather than comparing versions with a list. */
export async function findAll(dataDir: string | undefined, sandbox: SandboxOptions): Promise<Finding[]> {
  const node = nodeFinding()
  const bubblewrap = await bubblewrapFinding()
  const inside = node.state === 'ok' && bubblewrap.state === 'ok' ? await inspectSandbox(sandbox) : isolationNotChecked
  return [
    node,
    await dataFinding(dataDir),
    ...agentFindings(dataDir),
    bubblewrap,
    ...inside,
    ...fixedLimits,
    await sizeFinding(),
    ...providerFindings,
    ...modelFindings,
  ]
}

function nodeFinding(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const isNew = major > oldestNode[0] || (major === oldestNode[0] && minor >= oldestNode[1])
  const name = 'node'
  if (isNew) return { name, state: 'ok', says: process.version }
  const fix = `install Node ${oldestNode.join('.')} or later`
  return { name, state: 'missing', says: `${process.version} is too old`, fix }
}

async function bubblewrapFinding(): Promise<Finding> {
  const name = 'bubblewrap'
  if (process.platform !== 'linux') {
    return {
      name,
      state: 'missing',
      says: `does not exist on ${process.platform}`,
      fix: 'run the server in a Linux VM',
    }
  }
  try {
    const { stdout } = await run('bwrap', ['--version'], { timeout: 10_000 })
    return { name, state: 'ok', says: stdout.trim() }
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code !== 'ENOENT'
    const says = isThere ? `bwrap fails: ${firstLine(error)}` : 'bwrap is not in the PATH'
    return { name, state: 'missing', says, fix: bubblewrapFix }
  }
}

/** Creates a sandbox as the server does, and inspects it from inside. */
async function inspectSandbox(sandbox: SandboxOptions): Promise<Finding[]> {
  const { createServer } = await import('../server.ts')
  try {
    await using server = await createServer({ sandbox })
    const call = async (path: string, body: object): Promise<Record<string, string>> => {
      const headers = { authorization: `Bearer ${server.apiKey}` }
      const init = { method: 'POST', headers, body: JSON.stringify(body) }
      const answer = await server.fetch(new Request(`http://theazo.local/v1${path}`, init))
      return (await answer.json()) as Record<string, string>
    }
    const session = await call('/sessions', { userId: 'doctor' })
    const agent = await call(`/sessions/${session['id']}/agents`, {})
    const outputOf = async (lang: string, code: string): Promise<string> => {
      const { stdout = '' } = await call(`/agents/${agent['id']}/exec`, { lang, code })
      return stdout.trim()
    }
    const user = await outputOf('bash', 'id -u')
    const interfaces = await outputOf('bash', 'cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d " "')
    const processes = await outputOf('bash', 'ls -d /proc/[0-9]* | wc -l')
    return [
      { name: 'isolation', state: 'ok', says: `a sandbox runs as uid ${user} and sees ${processes} processes` },
      interfaces === 'lo'
        ? { name: 'network', state: 'ok', says: networkText }
        : {
            name: 'network',
            state: 'missing',
            says: `a sandbox has the network interfaces ${interfaces.split('\n').join(', ')}; it must have lo only`,
            fix: 'do not run the server; report this fault',
          },
      {
        name: 'limit: exec',
        state: 'ok',
        says: await outputOf(
          'bash',
          'echo "$(ulimit -u) processes, $(ulimit -n) open files, $(ulimit -f) KiB per file"',
        ),
      },
      ...limitFindings(server.limits, await maxFilesOfHost()),
      language(
        'python',
        await outputOf('python', 'import sys; print(sys.version.split()[0])'),
        'apt-get install -y python3',
      ),
      language('typescript', await outputOf('typescript', 'console.log("node " + process.version)'), 'reinstall Node'),
      language('bash', await outputOf('bash', 'echo $BASH_VERSION'), 'apt-get install -y bash'),
    ]
  } catch (error) {
    const says = error instanceof Error ? error.message : String(error)
    const fix = 'allow unprivileged user namespaces, or follow the message'
    return [{ name: 'isolation', state: 'missing', says, fix }]
  }
}

/** The host's limit on open files; undefined if it cannot be read. */
async function maxFilesOfHost(): Promise<number | undefined> {
  const text = await readFile('/proc/sys/fs/file-max', 'utf8').catch(() => '')
  return text === '' ? undefined : Number(text)
}

const networkText =
  "a sandbox has only its own loopback: it reaches nothing, or the hosts in its network.allow through the server's proxy"

const isolationNotChecked: Finding[] = [
  {
    name: 'isolation',
    state: 'missing',
    says: 'not checked: no sandbox can be created without the above',
    fix: 'fix that first',
  },
]

function language(name: string, version: string, fix: string): Finding {
  if (version !== '') return { name, state: 'ok', says: version }
  return { name, state: 'missing', says: 'does not run in a sandbox', fix }
}

async function dataFinding(dataDir: string | undefined): Promise<Finding> {
  const name = 'data folder'
  if (dataDir === undefined) {
    return {
      name,
      state: 'absent',
      says: 'none: all data is lost when the server ends',
      fix: 'start serve with --data-dir DIR',
    }
  }
  const path = resolve(dataDir)
  const fix = 'give another folder with --data-dir'
  const nearest = await nearestExisting(path)
  if (!(await stat(nearest)).isDirectory()) {
    return { name, state: 'missing', says: `${nearest} is not a folder`, fix }
  }
  const isWritable = await access(nearest, constants.W_OK).then(
    () => true,
    () => false,
  )
  if (!isWritable) return { name, state: 'missing', says: `${nearest} is not writable`, fix }
  if (nearest !== path) return { name, state: 'absent', says: `${path} does not exist yet`, fix: 'serve makes it' }
  const { bavail, bsize } = await statfs(path)
  return { name, state: 'ok', says: `${path}, ${Math.floor((bavail * bsize) / 2 ** 20)} MiB free` }
}

/** The path, or its nearest parent folder that exists. */
async function nearestExisting(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined)
  return found || dirname(path) === path ? path : await nearestExisting(dirname(path))
}

const fixedLimits: Finding[] = [
  { name: 'limit: time', state: 'ok', says: 'an exec ends after 120 s, a task after the timeout of its agent' },
  { name: 'limit: output', state: 'ok', says: '10 MiB for each stream of an exec' },
]

async function sizeFinding(): Promise<Finding> {
  const name = 'storage metering'
  const isThere = await access('/usr/bin/du', constants.X_OK).then(
    () => true,
    () => false,
  )
  if (isThere) return { name, state: 'ok', says: 'uses /usr/bin/du' }
  return {
    name,
    state: 'absent',
    says: 'without /usr/bin/du storage is not billed',
    fix: 'apt-get install -y coreutils',
  }
}

const providerFindings: Finding[] = [
  { name: 'provider: local', state: 'ok', says: 'the default of live keys' },
  ...['docker', 'e2b', 'fly'].map((provider): Finding => ({
    name: `provider: ${provider}`,
    state: 'absent',
    says: 'not available in this version; test keys mock it',
    fix: 'omit compute.provider',
  })),
]

const modelFindings: Finding[] = [
  {
    name: 'models: live keys',
    state: 'absent',
    says: 'none in this version: run returns 422',
    fix: 'use exec with your own agent loop',
  },
  { name: 'models: test keys', state: 'ok', says: 'a scripted model, see Test keys in the README' },
]

function firstLine(error: unknown): string {
  return (
    String((error as { stderr?: string }).stderr ?? error)
      .trim()
      .split('\n')[0] ?? ''
  )
}
