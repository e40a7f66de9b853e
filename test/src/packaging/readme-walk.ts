// Follows one README from its first block to its last, as a reader would.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ModelServer, startModelServer } from '../support/model-server.ts'
import { root } from '../support/server-process.ts'
import { startMcpServers } from './mcp-config.ts'
import { programOf } from './readme-program.ts'
import type { ReadmeBlock } from './readme-blocks.ts'

/** The output of the scripted model's code. A model that receives this output has used a sandbox. */
const modelOutput = '42042'
/** The scripted model's call of our tool, and of the tools that deepagents and Pi offer in its place. */
const runCode = { name: 'run_code', input: { language: 'python', code: 'print(21021 * 2)' } }
const shellTools = ['bash', 'execute'].map((name) => ({ name, input: { command: 'echo $((21021 * 2))' } }))
const shellFunctions = fileURLToPath(new URL('readme-shell.sh', import.meta.url))
const timeoutMs = 60_000
/** Starts a server, in each way that a README may give. */
const serveCommand = /^[^#\n]*\b(?:theazo-server|run(?: -\S+)*|bin\.js) serve\b/m

export interface WalkOptions {
  /** The folder in which the packages are installed. */
  packed: string
  /** A server for the programs of READMEs that do not start one themselves. */
  server: { url: string; apiKey: string }
}

/** The state of a reader's terminal, and the server that runs in another terminal. */
export class ReadmeWalk implements AsyncDisposable {
  /** An empty folder, in which a package's README begins. */
  readonly #folder: string
  /** Looks like a clone of the repository; new files do not land in the repository. */
  readonly #clone: string
  readonly #blocks: readonly ReadmeBlock[]
  readonly #models: ModelServer
  #cwd: string
  #env: NodeJS.ProcessEnv
  #server: { url: string; apiKey: string }
  #serving: ChildProcess | undefined
  /** What the last shell block has printed. */
  #output = ''

  private constructor(blocks: readonly ReadmeBlock[], { packed, server }: WalkOptions, models: ModelServer) {
    const readme = blocks[0]?.readme ?? ''
    const base = join(packed, 'readmes', readme.replaceAll(/\W+/g, '-'))
    this.#folder = join(base, 'empty')
    this.#clone = join(base, 'theazo')
    this.#blocks = blocks
    this.#models = models
    this.#server = server
    for (const folder of ['empty', 'theazo', 'curl', 'state', 'programs']) {
      mkdirSync(join(base, folder), { recursive: true })
    }
    for (const name of readdirSync(root)) symlinkSync(join(root, name), join(this.#clone, name))
    writeFileSync(join(base, 'curl/.curlrc'), 'fail-with-body\n') // without it, curl ends with 0 on a refusal
    this.#cwd = dirname(readme) === '.' ? this.#clone : this.#folder
    this.#env = {
      ...process.env, // HOME among them: the caches of npm and pnpm are there
      CURL_HOME: join(base, 'curl'),
      PACKED: packed,
      STATE: join(base, 'state'),
      THEAZO_PORT: '0', // other tests run at the same time
      THEAZO_BASE_URL: server.url,
      THEAZO_API_KEY: server.apiKey,
      ANTHROPIC_API_KEY: 'sk-ant-of-the-test',
      APPROVAL_SECRET: 'of-the-test', // of the chat route
      ANTHROPIC_BASE_URL: models.url,
      OPENAI_API_KEY: 'sk-of-the-test',
      OPENAI_BASE_URL: models.url,
    }
  }

  static async start(blocks: readonly ReadmeBlock[], options: WalkOptions): Promise<ReadmeWalk> {
    const models = await startModelServer((request) => {
      return [runCode, ...shellTools].filter(({ name }) => request.includes(`"name":"${name}"`)).slice(0, 1)
    })
    return new ReadmeWalk(blocks, options, models)
  }

  /** Runs a block. Rejects with the reason if it fails. */
  async run(block: ReadmeBlock): Promise<void> {
    if (/\broot of the clone\b/i.test(block.prose)) this.#cwd = this.#clone
    if (/\bstop the server\b/i.test(block.prose)) await this.#stopServing()
    const text = this.#fillIn(block.text)
    if (block.kind === 'json') await startMcpServers(JSON.parse(text), { cwd: this.#cwd, env: this.#env })
    else if (block.kind === 'program') await this.#runProgram(block, text)
    else if (serveCommand.test(text)) await this.#serve(text)
    else await this.#runShell(text)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stopServing()
    await this.#models[Symbol.asyncDispose]()
  }

  /** Puts real values in the place of those that a README cannot know. */
  #fillIn(text: string): string {
    return text
      .replaceAll('/path/to/theazo', root.replace(/\/$/, ''))
      .replaceAll('http://127.0.0.1:4020/v1', this.#server.url)
      .replaceAll('http://127.0.0.1:4020', new URL(this.#server.url).origin)
      .replaceAll('th_live_…', this.#server.apiKey)
      .replaceAll('--port 4020', '--port 0')
      .replaceAll(/\b([a-z]+)_01…/g, (placeholder, prefix: string) => {
        // The first id of this kind that the shell block before has printed.
        return new RegExp(String.raw`\b${prefix}_[0-9A-Z]+`).exec(this.#output)?.[0] ?? placeholder
      })
  }

  async #runProgram(block: ReadmeBlock, text: string): Promise<void> {
    const later = this.#blocks.slice(this.#blocks.indexOf(block) + 1)
    const { fileName } = block
    if (fileName && later.some(({ kind, text }) => kind === 'shell' && text.includes(fileName))) {
      return writeFileSync(join(this.#cwd, fileName), text)
    }
    const path = join(
      this.#folder,
      '../programs',
      `line-${block.line}.${block.language.startsWith('t') ? 'ts' : 'mjs'}`,
    )
    writeFileSync(path, programOf(text))
    const { requests } = this.#models
    const before = requests.length
    await this.#ended(spawn('node', [path], { cwd: this.#cwd, env: this.#env, detached: true }), timeoutMs)
    if (!/from '@(?:ai-sdk|langchain)\/(?:anthropic|openai|harness-pi)'/.test(text)) return
    if (requests.length === before || !JSON.stringify(requests.at(-1)?.body).includes(modelOutput)) {
      throw new Error(`the model made ${requests.length - before} requests and did not receive the output of its code`)
    }
  }

  async #runShell(text: string): Promise<void> {
    this.#output = ''
    await this.#ended(this.#bash(`${text}\nsave_state`), timeoutMs)
    this.#loadState()
  }

  /** A reader starts a server in one terminal, and follows the README in another. */
  async #serve(text: string): Promise<void> {
    await this.#stopServing()
    const child = this.#bash(text.replace(serveCommand, 'save_state\n$&'))
    this.#serving = child
    let out = ''
    const isReady = new Promise<void>((resolve) => {
      child.stdout?.on('data', (chunk) => {
        out += chunk
        if (/th_live_\w+/.test(out)) resolve()
      })
    })
    await Promise.race([
      isReady,
      this.#ended(child).then(() => Promise.reject(new Error('the server has ended before it was ready'))),
    ])
    this.#server = {
      url: /http:[^\s"]+\/v1/.exec(out)?.[0] ?? this.#server.url,
      apiKey: /th_live_\w+/.exec(out)?.[0] ?? this.#server.apiKey,
    }
    this.#loadState()
  }

  async #stopServing(): Promise<void> {
    const child = this.#serving
    this.#serving = undefined
    if (child === undefined || child.exitCode !== null) return
    const closed = once(child, 'close')
    signalGroup(child, 'SIGTERM')
    const timer = setTimeout(() => signalGroup(child, 'SIGKILL'), timeoutMs)
    await closed.finally(() => clearTimeout(timer))
  }

  #bash(text: string): ChildProcess {
    // After the functions, as `set -a` exports all later variables and functions: the next block has them too.
    const script = `source ${shellFunctions}\nset -aeo pipefail\n${text}`
    return spawn('bash', ['-c', script], { cwd: this.#cwd, env: this.#env, detached: true })
  }

  #loadState(): void {
    const state = this.#env['STATE'] ?? ''
    this.#cwd = readFileSync(join(state, 'cwd'), 'utf8').trim()
    const entries = readFileSync(join(state, 'env'), 'utf8').split('\0').filter(Boolean)
    this.#env = Object.fromEntries(
      entries.map((entry) => [entry.split('=', 1)[0], entry.slice(entry.indexOf('=') + 1)]),
    )
  }

  /** Resolves if the process ends with 0. After the timeout, its whole group is killed. */
  async #ended(child: ChildProcess, timeoutMs?: number): Promise<void> {
    let err = ''
    child.stdin?.end()
    child.stdout?.on('data', (chunk) => (this.#output += chunk))
    child.stderr?.on('data', (chunk) => (err += chunk))
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => signalGroup(child, 'SIGKILL'), timeoutMs)
    const [code, signal] = await once(child, 'close')
    clearTimeout(timer)
    if (code !== 0) throw new Error(`ended with ${code ?? signal}: ${err || this.#output.slice(-2000)}`)
  }
}

/** Reaches all processes that a block has started, e.g. bash, npm and the server. */
function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid !== undefined) process.kill(-pid, signal)
}
