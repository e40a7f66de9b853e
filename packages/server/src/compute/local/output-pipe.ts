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

/**
 * Makes pipes for the output of one child.
 *
 * Node's own `stdio: 'pipe'` is a pair of sockets, and a program cannot open a socket by name: `echo x > /dev/stderr`
 * would fail. Node has no pipe(2) either, so these are FIFOs, unlinked as soon as both ends are open.
 *
 * @param folder that nobody else can name a file in.
 */
export async function openOutputPipes(folder: string, count: number): Promise<OutputPipe[]> {
  const paths = Array.from({ length: count }, () => join(folder, `output-${randomUUID()}`))
  // Writable for the sandbox's user, who opens it again by /dev/stdout.
  await run('/usr/bin/mkfifo', ['-m', '666', '--', ...paths], { env: {} })
  return paths.map(open)
}

function open(path: string): OutputPipe {
  // The read end first: a write end without a reader would block.
  const readFd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const writeFd = openSync(path, constants.O_WRONLY)
  unlinkSync(path)
  const output = new Socket({ fd: readFd, readable: true, writable: false })
  return { writeFd, output, closeWriteEnd: () => closeSync(writeFd) }
}
