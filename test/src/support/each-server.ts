import { type ChildProcess, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Agent, type Language, Theazo } from '@theazo/core'
import { afterAll, beforeAll, describe } from 'vitest'
import { root, type ServerProcess, startServer } from './server-process.ts'
import { copyServer } from './server-copy.ts'

/** A real server in its own process, and the agents for the probes of a test file. */
export interface ProbedServer {
  /** True if the server runs as root; otherwise it runs as a plain user. */
  readonly isRoot: boolean
  readonly child: ChildProcess
  readonly apiKey: string
  readonly dataDir: string
  readonly theazo: Theazo
  /** For probes that do not change it. */
  readonly agent: Agent
  newAgent(): Promise<Agent>
  /** The folder on the host that contains an agent's `workspace` and `home`. */
  filesOf(agent: Agent): string
  /** The text of the finding with this name in `theazo-server doctor`, run as this server's user. */
  doctor(name: string): string
}

/** A secret in the environment of every server. */
export const serverSecret = 'secret-of-the-server'
/** The content of file descriptor 9, which every server inherits. */
export const inheritedText = 'text that was open when the server started'

const amRoot = process.getuid?.() === 0

/**
 * Runs probes against a server that is root and one that is a plain user.
 *
 * @param args further flags of `serve`.
 */
export function onEachServer(probes: (server: ProbedServer) => void, args: string[] = []): void {
  describe.skipIf(!amRoot)('root server (skipped if the tests do not run as root)', () => {
    probes(startedServer(true, args))
  })
  describe('plain-user server', () => {
    probes(startedServer(false, args))
  })
}

/** How the server's user starts a program. */
export interface ServerUser {
  uid: number
  /** The start of the command. */
  prefix: string[]
  node: string
  /** The folder with the server's package and its dependencies. */
  packages: string
}

/** A server's user, and a copy of the program that this user can read wherever the clone is. The user becomes the owner of the folder. */
export function userOf(isRoot: boolean, folder: string): ServerUser {
  const uid = process.getuid?.() ?? 0
  if (isRoot || !amRoot) return { uid, prefix: [], node: process.execPath, packages: join(root, 'packages') }
  chownSync(folder, plainUid, plainUid)
  const { node, packages } = copyServer(join(folder, 'copy'))
  const prefix = ['/usr/bin/setpriv', '--reuid', `${plainUid}`, '--regid', `${plainUid}`, '--clear-groups']
  return { uid: plainUid, prefix, node, packages }
}

/** A uid that nobody else uses, because the kernel counts some resources per user. */
const plainUid = 2_000_000_000 + process.pid

function startedServer(isRoot: boolean, args: string[]): ProbedServer {
  let folder: string
  let server: ServerProcess
  let theazo: Theazo
  let agent: Agent
  let command: string[]
  let env: Record<string, string>
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'theazo-isolation-'))
    chmodSync(folder, 0o755)
    mkdirSync(join(folder, 'tmp'))
    chmodSync(join(folder, 'tmp'), 0o1777)
    writeFileSync(join(folder, 'inherited'), inheritedText, { mode: 0o644 })
    const { prefix, node, packages } = userOf(isRoot, folder)
    command = [...prefix, node, join(packages, 'server/dist/bin.js')]
    env = { THEAZO_TEST_SECRET: serverSecret, HOME: folder, ...(!isRoot && { TMPDIR: join(folder, 'tmp') }) }
    const serve = ['serve', '--port', '0', '--json', '--data-dir', join(folder, 'data'), ...args]
    const inherit = ['-c', 'exec 9< "$0"; exec "$@"', join(folder, 'inherited')]
    server = await startServer('/bin/bash', [...inherit, ...command, ...serve], env)
    theazo = new Theazo({ baseUrl: server.url, apiKey: server.apiKey })
    agent = await newAgent()
  })
  afterAll(async () => {
    await server[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  })
  const newAgent = async (): Promise<Agent> => await (await theazo.sessions.forUser('isolation')).agents.create()
  return {
    isRoot,
    newAgent,
    get child() {
      return server.child
    },
    get apiKey() {
      return server.apiKey
    },
    get dataDir() {
      return join(folder, 'data')
    },
    get theazo() {
      return theazo
    },
    get agent() {
      return agent
    },
    filesOf({ id }) {
      const dataDir = join(folder, 'data')
      const instance = isRoot ? readFileSync(join(dataDir, 'instance-id'), 'utf8').trim() : ''
      const path = join(isRoot ? '/var/lib/theazo/agents' : join(dataDir, 'agents'), instance, id)
      return existsSync(join(path, 'disk')) ? join(path, 'disk') : path
    },
    doctor(name) {
      const [program = '', ...rest] = [...command, 'doctor', '--json']
      const { stdout } = spawnSync(program, rest, { encoding: 'utf8', cwd: '/', env: { ...process.env, ...env } })
      const findings = JSON.parse(stdout) as { name: string; says: string }[]
      return findings.find((finding) => finding.name === name)?.says ?? 'nothing'
    },
  }
}

/** Runs code and returns everything that it printed. */
export async function outputOf(agent: Agent, lang: Language, code: string): Promise<string> {
  const { stdout, stderr } = await agent.exec(lang, code)
  return (stdout + stderr).trim()
}

/** Runs one program in each language; see {@link allUsable}. */
export async function usable(agent: Agent): Promise<string[]> {
  return [
    await outputOf(agent, 'bash', 'echo bash'),
    await outputOf(agent, 'python', 'print("python")'),
    await outputOf(agent, 'typescript', 'console.log("typescript")'),
    await outputOf(agent, 'typescript', 'console.log("by a warm node" as string)'),
  ]
}

/** The result of {@link usable} if every language works as on a new agent. */
export const allUsable = ['bash', 'python', 'typescript', 'by a warm node']
