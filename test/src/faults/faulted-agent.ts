import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Language } from '@theazo/core'
import { ApiCaller } from '../support/api-caller.ts'
import type { Chance } from '../support/chance.ts'
import { sandboxRoles, type SandboxRoles, signal } from '../support/sandbox-processes.ts'

/** What an exec came to, and how many failed after it before one ran again. */
export interface Faulted {
  outcome: 'ok' | 'killed' | 'lied' | 'lost' | 'timeout' | 'aborted'
  tries: number
}

/** From the host. What is stopped goes on again only where that is what ends the fault. */
const hostFaults = {
  'supervisor killed': ({ supervisor }: SandboxRoles) => signal(supervisor, 'SIGKILL'),
  'supervisor stopped': ({ supervisor }: SandboxRoles) => signal(supervisor, 'SIGSTOP'),
  'bubblewrap killed': ({ bubblewrap }: SandboxRoles) => signal(bubblewrap, 'SIGKILL'),
  'reapers killed': ({ reapers }: SandboxRoles) => reapers.forEach((reaper) => signal(reaper, 'SIGKILL')),
  'reapers stopped': ({ reapers }: SandboxRoles) => reapers.forEach((reaper) => signal(reaper, 'SIGSTOP')),
  'nodes killed': ({ all }: SandboxRoles) => nodesOf(all).forEach((node) => signal(node, 'SIGKILL')),
  'nodes stopped': ({ all }: SandboxRoles) => nodesOf(all).forEach((node) => signal(node, 'SIGSTOP')),
} as const
const lies = ['garbage', 'gone', 'exit', 'twice', 'late', 'half', 'silent', 'other', 'end'] as const
/** By code, in bash, beside the exec. */
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
/** Of an end that the lying bubblewrap made up. */
const lyingCode = 42
/** A deadline for what nothing else ends: code whose reaper is stopped. */
const faultedTimeoutMs = 8000
/** For code that nothing befalls, however busy the machine is. */
const timeoutMs = 60_000
/** Only a hang takes this long: the deadline, and what a supervisor is given to answer. */
const hangMs = 120_000

/** One agent, and what befalls it. */
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

  /** @param folder of the lying bubblewrap. */
  static async create({ url, apiKey }: { url: string; apiKey: string }, folder: string): Promise<FaultedAgent> {
    const api = new ApiCaller({ baseUrl: url, apiKey })
    const session = await api.post('/sessions', { userId: 'faults' })
    const { status, body } = await api.post(`/sessions/${session.body.id}/agents`)
    assert.equal(status, 201, JSON.stringify(body))
    const agent = new FaultedAgent(api, body.id, folder)
    agent.#uid = Number((await agent.#send('bash', 'id -u')).stdout)
    return agent
  }

  /** What is left of an agent that has ended. */
  static processesOf(uid: number): string[] {
    return sandboxRoles(uid).all.map(({ pid, name }) => `${pid} ${name}`)
  }

  get uid(): number {
    return this.#uid
  }

  async terminate(): Promise<void> {
    assert.equal((await this.#api.post(`/agents/${this.#id}/terminate`)).status, 200)
  }

  /** Runs code to its end. */
  async exec(lang: Language, chance: Chance): Promise<void> {
    const text = `t${chance.between(0, 1e9)}`
    assert.equal((await this.#send(lang, printing[lang](text))).stdout, `a\n${text}\n`)
  }

  /** Runs code, breaks the sandbox meanwhile, and sees it come back. */
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
      assert(tries < 5, `it does not come back ${when}: ${JSON.stringify(again)}`)
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

  /** The final answer, by whichever way. Status 0: aborted. */
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
      throw new Error(`no answer to ${lang} ${JSON.stringify(code)} within its time`, { cause: error })
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

// The body is that of whichever answer.
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
