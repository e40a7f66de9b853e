import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'

/** A program without its types. */
export interface Compiled {
  /** Stripped, it is the user's text with blanks for types; transformed, it ends with a source map. */
  mode: 'strip' | 'transform'
  source: string
}

/** In milliseconds. */
export interface CompilerTimes {
  /** How long an exec waits for its program; Node in the sandbox compiles it then. */
  wait: number
  /** What takes longer is ended. */
  limit: number
}

const defaultTimes: CompilerTimes = { wait: 100, limit: 1000 }
/** Longer programs are left to the sandbox, with their time and memory. */
const maxCharacters = 256 * 1024
const maxHeapMb = 256

interface Request {
  code: string
  owner: object
  resolve: (compiled: Compiled | undefined) => void
}

/**
 * Compiles for sandboxes, in a thread of this process and by Node's own compiler (swc, in WebAssembly). A node that has to
 * load it itself takes twice as long to start, and has three times the memory to give back at its end.
 *
 * Programs are compiled one after the other. One that takes too long is given up with its thread, and whose it is may ask
 * no more.
 */
export class TypeScriptCompiler implements AsyncDisposable {
  readonly #program: URL
  readonly #times: CompilerTimes
  #worker: Worker | undefined
  #isReady = false
  readonly #queue: Request[] = []
  #current: Request | undefined
  #limit: NodeJS.Timeout | undefined
  readonly #barred = new WeakSet<object>()

  /** @param program of the thread. */
  constructor(
    program: URL = new URL(`compile-worker${extname(import.meta.url)}`, import.meta.url),
    times: CompilerTimes = defaultTimes,
  ) {
    this.#program = program
    this.#times = times
  }

  /**
   * @param owner whose code it is.
   * @returns undefined where the sandbox is to do it: the program is wrong or too long, it is not done in time, or it is
   *   the first, which the thread is started for.
   */
  async compile(code: string, owner: object): Promise<Compiled | undefined> {
    if (code.length > maxCharacters || this.#barred.has(owner)) return undefined
    this.#worker ??= this.#start()
    if (!this.#isReady) return undefined // no sandbox is slower to start a compiler
    const { promise, resolve } = Promise.withResolvers<Compiled | undefined>()
    const request: Request = { code, owner, resolve }
    this.#queue.push(request)
    const late = setTimeout(() => {
      const index = this.#queue.indexOf(request)
      if (index >= 0) this.#queue.splice(index, 1)
      resolve(undefined)
    }, this.#times.wait)
    this.#next()
    try {
      return await promise
    } finally {
      clearTimeout(late)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end()
  }

  #start(): Worker {
    const worker = new Worker(this.#program, { resourceLimits: { maxOldGenerationSizeMb: maxHeapMb }, env: {} })
    worker.unref() // nobody's process lives on for it
    worker.on('message', (message: Compiled | 'ready' | undefined) => {
      if (worker !== this.#worker) return // it was given up, and its answer is to nothing that is asked now
      if (message === 'ready') this.#isReady = true
      else this.#settle(message)
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
    if (this.#current) this.#barred.add(this.#current.owner)
    void this.#end()
  }

  #settle(compiled: Compiled | undefined): void {
    clearTimeout(this.#limit)
    this.#current?.resolve(compiled)
    this.#current = undefined
  }

  /** The next call starts another thread. Who waits is not kept waiting for it. */
  async #end(): Promise<void> {
    const worker = this.#worker
    this.#worker = undefined
    this.#isReady = false
    this.#settle(undefined)
    for (const { resolve } of this.#queue.splice(0)) resolve(undefined)
    await worker?.terminate()
  }
}
