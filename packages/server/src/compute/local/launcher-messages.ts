/**
 * Messages between the server and the launcher; the other side is `launcher/launcher.py`. A message is its length and its
 * fields. A field is its length and its bytes. All lengths are 32 bits, little endian.
 *
 * @module
 */
import { lengthPrefixed } from './length-prefixed.ts'

/** An event of the process with this number. */
export type Answer =
  /** Its named pipes exist. */
  | { kind: 'started'; number: number }
  /** The pid of the first process of a sandbox. */
  | { kind: 'first'; number: number; pid: number }
  /** All its processes are gone. The complaint is its standard error output. */
  | { kind: 'ended'; number: number; status: number; output: string; complaint: string }

/** An order to start something with a number, or to act on what was started with it. */
export function order(kind: string, number: number, ...fields: readonly (string | number | Uint8Array)[]): Buffer {
  const parts = [kind, number, ...fields].map((field) => {
    return field instanceof Uint8Array ? field : Buffer.from(String(field))
  })
  return Buffer.concat(lengthPrefixed([Buffer.concat(lengthPrefixed(parts))]))
}

/** Assembles answers from chunks of any length. */
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

/** The complete parts at the start, and the rest. */
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
