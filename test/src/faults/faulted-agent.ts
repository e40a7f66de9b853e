import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Language } from '@theazo/core'
import { ApiCaller } from '../support/api-caller.ts'
import type { Chance } from '../support/chance.ts'
import { sandboxRoles, type SandboxRoles, signal } from '../support/sandbox-processes.ts'

/** The outcome of an exec under a fault, and the number of execs that failed after it before one ran again. */
export interface Faulted {
  outcome: 'ok' | 'killed' | 'lied' | 'lost' | 'timeout' | 'aborted'
  tries: number
}

/** Faults caused from the host. A stopped process stays stopped; the server must handle it. */
const hostFaults = {
  'supervisor killed': ({ supervisor }: SandboxRoles) => signal(supervisor, 'SIGKILL'),
  'supervisor stopped': ({ supervisor }: SandboxRoles) => signal(supervisor, 'SIGSTOP'),
  'bubblewrap killed': ({ bubblewrap }: SandboxRoles) => signal(bubblewrap, 'SIGKILL'),
  'reapers killed': ({ reapers }: SandboxRoles) => reapers.forEach((reaper) => signal(reaper, 'SIGKILL')),
  'reapers stopped': ({ reapers }: SandboxRoles) => reapers.forEach((reaper) => signal(reaper, 'SIGSTOP')),
  'nodes killed': ({ all }: SandboxRoles) => nodesOf(all).forEach((node) => signal(node, 'SIGKILL')),
  'nodes stopped': ({ all }: SandboxRoles) => nodesOf(all).forEach((node) => signal(node, 'SIGSTOP')),
} as const
/** Faults of the wrapper around bubblewrap, which falsifies the supervisor protocol (test/fixture/lying-bwrap.py). */
const lies = ['garbage', 'gone', 'exit', 'twice', 'late', 'half', 'silent', 'other', 'end'] as const
/** Faults caused by Bash code in a second exec at the same time. */
const codeFaults = {
  'code kills all': 'kill -KILL -1',
  'code stops all': 'kill -STOP -1',
  'code interrupts all': 'kill -INT -1; kill -INT 1',
  'code fills the pipes': 'timeout 1 yes | head -c 50000000; timeout 1 yes >&2 | head -c 1',
} as const

/** Ways to break a sandbox while code runs in it. */
export const faultNames = [
  ...(Object.keys(hostFaults) as (keyof typeof hostFaults)[]),
  ...lies.map((lie) => `lie: ${lie}` as const),
  ...(Object.keys(codeFaults) as (keyof typeof codeFaults)[]),
  'aborted' as const,
]
export type FaultName = (typeof faultNames)[number]

const languages = ['python', 'typescript', 'bash'] as const
const printing: Record<Language, (text: string) => string> = {
  python: (text) => `import time\nprint("a")\ntime.sleep(0.2)\nprint("${text}")`,
  typescript: (text) => `console.log("a"); await new Promise((go) => setTimeout(go, 200)); console.log("${text}")`,
  bash: (text) => `echo a; setsid sleep 0.5 & sleep 0.2; echo ${text}`,
}
/** Exit code of a result that the lying bubblewrap invented. */
const lyingCode = 42
/** Deadline of execs with a fault. For some, such as code with a stopped reaper, nothing else ends them. */
const faultedTimeoutMs = 8000
/** Deadline of execs without a fault, long enough for a busy machine. */
const timeoutMs = 60_000
/** An exec that takes longer hangs: longer than its deadline and the supervisor's time to answer. */
const hangMs = 120_000

/** One agent, and the faults to cause in it. */
export class FaultedAgent {
  readonly #api: ApiCaller
  readonly #id: string
  readonly #folder: string
  #uid = 0

  private constructor(api: ApiCaller, id: string, folder: string) {
    this.#api = api
    this.#id = id
    this.#folder = folder
  }

  /** @param folder Folder of the lying bubblewrap. */
  static async create({ url, apiKey }: { url: string; apiKey: string }, folder: string): Promise<FaultedAgent> {
    const api = new ApiCaller({ baseUrl: url, apiKey })
    const session = await api.post('/sessions', { userId: 'faults' })
    const { status, body } = await api.post(`/sessions/${session.body.id}/agents`)
    assert.equal(status, 201, JSON.stringify(body))
    const agent = new FaultedAgent(api, body.id, folder)
    agent.#uid = Number((await agent.#send('bash', 'id -u')).stdout)
    return agent
  }

  /** Processes of an agent, as `pid name`; none must remain after its end. */
  static processesOf(uid: number): string[] {
    return sandboxRoles(uid).all.map(({ pid, name }) => `${pid} ${name}`)
  }

  get uid(): number {
    return this.#uid
  }

  async terminate(): Promise<void> {
    assert.equal((await this.#api.post(`/agents/${this.#id}/terminate`)).status, 200)
  }

  /** Runs code and checks its output. */
  async exec(lang: Language, chance: Chance): Promise<void> {
    const text = `t${chance.between(0, 1e9)}`
    assert.equal((await this.#send(lang, printing[lang](text))).stdout, `a\n${text}\n`)
  }

  /** Runs code, causes the fault meanwhile, and checks that the sandbox recovers. */
  async faultedExec(fault: FaultName | undefined, chance: Chance): Promise<Faulted> {
    const lang = languages[chance.between(0, 2)] ?? 'bash'
    const text = `t${chance.between(0, 1e9)}`
    const abort = new AbortController()
    const isStream = chance.percent(40)
    const running = this.#answer(lang, printing[lang](text), {
      isStream,
      signal: abort.signal,
      ...(fault !== undefined && { timeoutMs: faultedTimeoutMs }),
    })
    if (fault !== undefined) {
      await sleep(chance.between(0, 250))
      await this.#break(fault, abort)
    }
    const answer = await running
    const outcome = outcomeOf(answer, text)
    assert(outcome, `${lang} with ${fault}: ${JSON.stringify(answer)}`)
    let most = 0
    for (const language of languages) {
      most = Math.max(most, await this.#triesUntilOk(language, `after ${fault}`))
    }
    return { outcome, tries: most }
  }

  async #triesUntilOk(lang: Language, when: string): Promise<number> {
    for (let tries = 0; ; tries += 1) {
      const again = await this.#answer(lang, printing[lang](when))
      if (outcomeOf(again, when) === 'ok') return tries
      assert(tries < 5, `the sandbox does not recover ${when}: ${JSON.stringify(again)}`)
    }
  }

  async #break(fault: FaultName, abort: AbortController): Promise<void> {
    if (fault === 'aborted') return abort.abort()
    if (fault in hostFaults) {
      hostFaults[fault as keyof typeof hostFaults](sandboxRoles(this.#uid))
      return
    }
    if (fault in codeFaults) {
      await this.#answer('bash', codeFaults[fault as keyof typeof codeFaults], { timeoutMs: faultedTimeoutMs })
      return
    }
    writeFileSync(join(this.#folder, `lie-${this.#uid}`), fault.replace('lie: ', ''), { mode: 0o666 })
  }

  async #send(lang: Language, code: string) {
    const { status, body } = await this.#answer(lang, code)
    assert.equal(status, 200, JSON.stringify(body))
    return body
  }

  /** The final response, streamed or not. Status 0 means aborted. */
  async #answer(lang: Language, code: string, options: AnswerOptions = {}) {
    const { isStream = false, signal } = options
    const hang = AbortSignal.timeout(hangMs)
    try {
      const response = await this.#api.open(`/agents/${this.#id}/exec`, {
        method: 'POST',
        body: JSON.stringify({ lang, code, timeoutMs: options.timeoutMs ?? timeoutMs }),
        headers: isStream ? { accept: 'text/event-stream' } : {},
        signal: AbortSignal.any([hang, ...(signal ? [signal] : [])]),
      })
      const text = await response.text()
      if (!response.headers.get('content-type')?.startsWith('text/event-stream')) {
        return { status: response.status, body: JSON.parse(text) }
      }
      const [, event, data = ''] = /event: (exit|error)\ndata: (.*)\n\n$/.exec(text) ?? []
      const body = JSON.parse(data)
      if (event === 'exit') return { status: 200, body }
      return { status: body.code === 'timeout' ? 504 : 502, body: { error: body } }
    } catch (error) {
      if (signal?.aborted && !hang.aborted) return { status: 0, body: {} }
      throw new Error(`no answer to ${lang} ${JSON.stringify(code)} within ${hangMs} ms`, { cause: error })
    }
  }
}

interface AnswerOptions {
  isStream?: boolean
  signal?: AbortSignal
  timeoutMs?: number
}

function nodesOf(all: SandboxRoles['all']): SandboxRoles['all'] {
  return all.filter(({ name }) => /^(node|MainThread)$/.test(name))
}

// The body has a different shape for each status.
// oxlint-disable-next-line typescript/no-explicit-any
function outcomeOf({ status, body }: { status: number; body: any }, text: string): Faulted['outcome'] | undefined {
  if (status === 0) return 'aborted'
  if (status === 504) return 'timeout'
  if (status === 502) return body.error.code === 'provider_error' ? 'lost' : undefined
  if (status !== 200) return undefined
  if (body.exitCode === 0 && body.stdout.endsWith(`${text}\n`)) return 'ok'
  if (body.exitCode > 128) return 'killed'
  return body.exitCode === lyingCode ? 'lied' : undefined
}
