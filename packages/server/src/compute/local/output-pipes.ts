import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { closeSync, constants, openSync, unlinkSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** A pipe that a child writes to. */
export interface OutputPipe {
  /** For the child's `stdio`. */
  writeFd: number
  /** Ends when the last writer is gone. */
  output: Socket
  /** Closes this process's own write end: call it once the child has it, or will not come. */
  closeWriteEnd(): void
}

/** How many are made in one go: making some costs a process, whatever their number. */
const batchSize = 64

/**
 * Gives pipes for the output of children.
 *
 * Node's own `stdio: 'pipe'` is a pair of sockets, and a program cannot open a socket by name: `echo x > /dev/stderr`
 * would fail. Node has no pipe(2) either, so these are FIFOs, each used once and unlinked as soon as both ends are open.
 */
export class OutputPipes {
  readonly #folder: string
  readonly #paths: string[] = []
  #making: Promise<void> | undefined

  /** @param folder which nobody else can name a file in. */
  constructor(folder: string) {
    this.#folder = folder
  }

  async take(): Promise<OutputPipe> {
    for (;;) {
      const path = this.#paths.pop()
      if (path) return open(path)
      this.#making ??= this.#make().finally(() => (this.#making = undefined))
      await this.#making
    }
  }

  async #make(): Promise<void> {
    const paths = Array.from({ length: batchSize }, () => join(this.#folder, randomUUID()))
    // Writable for the sandbox's user, who opens it again by /dev/stdout.
    await run('/usr/bin/mkfifo', ['-m', '666', '--', ...paths], { env: {} })
    this.#paths.push(...paths)
  }
}

function open(path: string): OutputPipe {
  // The read end first: a write end without a reader would block.
  const readFd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const writeFd = openSync(path, constants.O_WRONLY)
  unlinkSync(path)
  const output = new Socket({ fd: readFd, readable: true, writable: false })
  return { writeFd, output, closeWriteEnd: () => closeSync(writeFd) }
}
