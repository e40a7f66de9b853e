/**
 * Messages between this process and the one that starts others; the other side is `launcher/launcher.py`. Each is its
 * length and its fields, each field its length and its bytes; all lengths are 32 bits, the lower first.
 *
 * @module
 */
import { withLengths } from './with-lengths.ts'

/** What became of what was started under a number. */
export type Answer =
  /** Its pipes have their names. */
  | { kind: 'started'; number: number }
  /** The pid of a sandbox's first process. */
  | { kind: 'first'; number: number; pid: number }
  /** All of it is gone. The complaint is what it said on standard error. */
  | { kind: 'ended'; number: number; status: number; output: string; complaint: string }

/** Asks for something to be started under a number, or for what is to become of it. */
export function order(kind: string, number: number, ...fields: readonly (string | number | Uint8Array)[]): Buffer {
  const parts = [kind, number, ...fields].map((field) => {
    return field instanceof Uint8Array ? field : Buffer.from(String(field))
  })
  return Buffer.concat(withLengths([Buffer.concat(withLengths(parts))]))
}

/** Puts answers together from pieces of any length. */
export class Answers {
  #rest: Buffer = Buffer.alloc(0)

  push(chunk: Buffer): Answer[] {
    const [messages, rest] = split(Buffer.concat([this.#rest, chunk]))
    this.#rest = rest
    return messages.map((message) => answer(split(message)[0].map(String)))
  }
}

function answer([kind, number, ...fields]: readonly string[]): Answer {
  const about = { number: Number(number) }
  if (kind === 'started') return { kind, ...about }
  if (kind === 'first') return { kind, ...about, pid: Number(fields[0]) }
  if (kind !== 'ended') throw new TypeError(`no answer is called ${kind}`)
  const [status, output = '', complaint = ''] = fields
  return { kind, ...about, status: Number(status), output, complaint: complaint.trim() }
}

/** The whole parts at the start, and what follows them. */
function split(bytes: Buffer): [Buffer[], Buffer] {
  const parts: Buffer[] = []
  let offset = 0
  while (bytes.length - offset >= 4) {
    const end = offset + 4 + bytes.readUInt32LE(offset)
    if (bytes.length < end) break
    parts.push(bytes.subarray(offset + 4, end))
    offset = end
  }
  return [parts, bytes.subarray(offset)]
}
