import { type ChildProcess, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Agent, type Language, Theazo } from '@theazo/core'
import { afterAll, beforeAll, describe } from 'vitest'
import { root, type ServerProcess, startServer } from './server-process.ts'
import { copyServer } from './server-copy.ts'

/** A real server, as a program of its own, and the agents that a file's probes use. */
export interface ProbedServer {
  /** Whether it is root; else it is a plain user. */
  readonly isRoot: boolean
  readonly child: ChildProcess
  readonly apiKey: string
  readonly dataDir: string
  readonly theazo: Theazo
  /** For probes that leave it as it was. */
  readonly agent: Agent
  newAgent(): Promise<Agent>
  /** The host's folder that holds an agent's `workspace` and `home`. */
  filesOf(agent: Agent): string
  /** What `theazo-server doctor` says to this server's user, by the name of the finding. */
  doctor(name: string): string
}

/** In the environment of every server. */
export const serverSecret = 'secret-of-the-server'
/** What a descriptor reads that every server has inherited, as number 9. */
export const inheritedText = 'text that was open when the server started'

const amRoot = process.getuid?.() === 0

/**
 * Runs probes against a server that is root and one that is a plain user.
 *
 * @param args further flags of `serve`.
 */
export function onEachServer(probes: (server: ProbedServer) => void, args: string[] = []): void {
  describe.skipIf(!amRoot)('root server (skipped where the tests do not run as root)', () => {
    probes(startedServer(true, args))
  })
  describe('plain-user server', () => {
    probes(startedServer(false, args))
  })
}

/** How the server's user starts a program. */
export interface ServerUser {
  uid: number
  /** What the command begins with. */
  prefix: string[]
  node: string
  /** The folder of the server's package and of what it needs. */
  packages: string
}

/** A server's user and what it can read, wherever the clone is; the folder becomes that user's. */
export function userOf(isRoot: boolean, folder: string): ServerUser {
  const uid = process.getuid?.() ?? 0
  if (isRoot || !amRoot) return { uid, prefix: [], node: process.execPath, packages: join(root, 'packages') }
  chownSync(folder, plainUid, plainUid)
  const { node, packages } = copyServer(join(folder, 'copy'))
  const prefix = ['/usr/bin/setpriv', '--reuid', `${plainUid}`, '--regid', `${plainUid}`, '--clear-groups']
  return { uid: plainUid, prefix, node, packages }
}

/** Nobody else's, so that nothing which the kernel counts by user is counted together. */
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

/** Runs code and gives all that it printed. */
export async function say(agent: Agent, lang: Language, code: string): Promise<string> {
  const { stdout, stderr } = await agent.exec(lang, code)
  return (stdout + stderr).trim()
}

/** Each language answers as on a new agent. */
export async function usable(agent: Agent): Promise<string[]> {
  return [
    await say(agent, 'bash', 'echo bash'),
    await say(agent, 'python', 'print("python")'),
    await say(agent, 'typescript', 'console.log("typescript")'),
    await say(agent, 'typescript', 'console.log("by a warm node" as string)'),
  ]
}

/** What {@link usable} gives then. */
export const allUsable = ['bash', 'python', 'typescript', 'by a warm node']
