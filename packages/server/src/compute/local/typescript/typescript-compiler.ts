import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'

/** A program without its types. */
export interface Compiled {
  /** `strip`: the user's text with blanks in place of types. `transform`: new text, which ends with a source map. */
  mode: 'strip' | 'transform'
  source: string
}

/** Times in milliseconds. */
export interface CompilerTimes {
  /** How long an exec waits for its program. Afterwards Node in the sandbox compiles it. */
  wait: number
  /** A compilation that takes longer is ended. */
  limit: number
}

const defaultTimes: CompilerTimes = { wait: 100, limit: 1000 }
/** Longer programs are compiled in the sandbox, with its time and memory. */
const maxCharacters = 256 * 1024
const maxHeapMb = 256

interface Request {
  code: string
  owner: object
  resolve: (compiled: Compiled | undefined) => void
}

/**
 * Compiles programs for sandboxes, in a thread of this process, with Node's own compiler (swc, in WebAssembly). A Node process
 * that has to load the compiler takes twice as long to start, and has three times as much memory to free at its end.
 *
 * Programs are compiled one after the other. If one takes too long, its thread is ended, and no other program of the same
 * owner is accepted.
 */
export class TypeScriptCompiler implements AsyncDisposable {
  readonly #program: URL
  readonly #times: CompilerTimes
  #worker: Worker | undefined
  #isReady = false
  readonly #queue: Request[] = []
  #current: Request | undefined
  #limit: NodeJS.Timeout | undefined
  readonly #blocked = new WeakSet<object>()

  /** @param program the file that the thread runs. */
  constructor(
    program: URL = new URL(`compile-worker${extname(import.meta.url)}`, import.meta.url),
    times: CompilerTimes = defaultTimes,
  ) {
    this.#program = program
    this.#times = times
  }

  /**
   * Removes the types of a program.
   *
   * @param owner of the code, e.g. its sandbox.
   * @returns undefined if the sandbox must compile it: the program is invalid or too long, it is not done in time, the owner
   *   is blocked, or the thread is still starting, as for the first program.
   */
  async compile(code: string, owner: object): Promise<Compiled | undefined> {
    if (code.length > maxCharacters || this.#blocked.has(owner)) return undefined
    this.#worker ??= this.#start()
    if (!this.#isReady) return undefined // waiting for the thread is not faster than compiling in the sandbox
    const { promise, resolve } = Promise.withResolvers<Compiled | undefined>()
    const request: Request = { code, owner, resolve }
    this.#queue.push(request)
    const timer = setTimeout(() => {
      const index = this.#queue.indexOf(request)
      if (index >= 0) this.#queue.splice(index, 1)
      resolve(undefined)
    }, this.#times.wait)
    this.#next()
    try {
      return await promise
    } finally {
      clearTimeout(timer)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end()
  }

  #start(): Worker {
    const worker = new Worker(this.#program, { resourceLimits: { maxOldGenerationSizeMb: maxHeapMb }, env: {} })
    worker.unref() // it does not keep the process alive
    worker.on('message', (message: Compiled | 'ready' | undefined) => {
      if (worker !== this.#worker) return // it was ended; its answer belongs to an earlier request
      if (message === 'ready') this.#isReady = true
      else this.#finish(message)
      this.#next()
    })
    const lose = (): void => void (worker === this.#worker && this.#end())
    worker.on('error', lose).on('exit', lose)
    return worker
  }

  #next(): void {
    if (this.#current) return
    this.#current = this.#queue.shift()
    if (!this.#current) return
    this.#limit = setTimeout(() => this.#giveUp(), this.#times.limit).unref()
    this.#worker?.postMessage(this.#current.code)
  }

  #giveUp(): void {
    if (this.#current) this.#blocked.add(this.#current.owner)
    void this.#end()
  }

  #finish(compiled: Compiled | undefined): void {
    clearTimeout(this.#limit)
    this.#current?.resolve(compiled)
    this.#current = undefined
  }

  /** Ends the thread; the next call starts another one. Waiting requests are answered immediately. */
  async #end(): Promise<void> {
    const worker = this.#worker
    this.#worker = undefined
    this.#isReady = false
    this.#finish(undefined)
    for (const { resolve } of this.#queue.splice(0)) resolve(undefined)
    await worker?.terminate()
  }
}
