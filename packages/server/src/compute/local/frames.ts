/**
 * Frames between the server and the supervisor of a sandbox; the other side is `inside/wire.py`.
 *
 * Frames from the sandbox are not trusted, in case code there ever manages to write them: an invalid frame ends the sandbox,
 * and has no other effect.
 *
 * @module
 */
import type { ExecFile, Language } from '@theazo/core'
import type { Compiled } from './typescript/typescript-compiler.ts'
import { lengthPrefixed } from './length-prefixed.ts'

/** Code to run, with all defaults filled in. */
export interface ExecFrame {
  lang: Language
  code: string
  cwd: string
  env: Record<string, string>
  stdin: Uint8Array | undefined
  /** The TypeScript code without its types, so that the sandbox need not compile it. */
  compiled?: Compiled | undefined
  /** The maximum number of bytes of each stream that the supervisor sends. */
  maxOutputBytes: number
}

/** A frame from the supervisor. */
export type UpFrame =
  | { kind: 'ready' }
  | { kind: 'pong' }
  | { kind: 'output'; execId: number; stream: 'stdout' | 'stderr'; data: Uint8Array }
  | { kind: 'file'; execId: number; file: ExecFile }
  | { kind: 'exit'; execId: number; exitCode: number; isCut: { stdout: boolean; stderr: boolean; files: boolean } }
  /** The exec and all processes that it started have been killed. */
  | { kind: 'gone'; execId: number }
  | { kind: 'refused'; execId: number; message: string }
  /** The reaper of the exec has failed; the code may have run. */
  | { kind: 'lost'; execId: number }
  /** The working directory does not exist. */
  | { kind: 'noFolder'; execId: number }
  /** The exec has not started: other code keeps closing the folder that code is read from. */
  | { kind: 'closed'; execId: number }

const languages: Record<Language, number> = { python: 1, typescript: 2, bash: 3 }
const modes = { strip: 1, transform: 2 } as const
const down = { exec: 1, kill: 2, ping: 3, defaults: 4 } as const
const downHeaderBytes = 9
const upHeaderBytes = 7

/** Starts an exec; the caller chooses its id. */
export function execFrame(execId: number, frame: ExecFrame): Buffer {
  const { lang, code, cwd, env, stdin, compiled, maxOutputBytes } = frame
  const variables = entriesOf(env)
  const body = Buffer.alloc(15)
  body.writeUInt8(languages[lang], 0)
  body.writeUInt8(stdin ? 1 : 0, 1)
  body.writeBigUInt64LE(BigInt(maxOutputBytes), 2)
  body.writeUInt32LE(variables.length, 10)
  body.writeUInt8(compiled ? modes[compiled.mode] : 0, 14)
  const texts = [code, compiled?.source ?? ''].map((text) => Buffer.from(text))
  const blobs = [Buffer.from(cwd), stdin ?? Buffer.alloc(0), ...texts, ...variables]
  return downFrame(execId, down.exec, [body, ...lengthPrefixed(blobs)])
}

/** The environment of an exec that adds nothing to it. Warm shells are started with it. */
export function defaultsFrame(env: Readonly<Record<string, string>>): Buffer {
  return downFrame(0, down.defaults, lengthPrefixed(entriesOf(env)))
}

/** Kills an exec and every process that it started. The answer is `gone`. */
export function killFrame(execId: number): Buffer {
  return downFrame(execId, down.kill, [])
}

/** The answer is `pong`. */
export function pingFrame(): Buffer {
  return downFrame(0, down.ping, [])
}

function downFrame(execId: number, kind: number, payload: Uint8Array[]): Buffer {
  const header = Buffer.alloc(downHeaderBytes)
  header.writeUInt32LE(execId, 0)
  header.writeUInt8(kind, 4)
  header.writeUInt32LE(
    payload.reduce((sum, { length }) => sum + length, 0),
    5,
  )
  return Buffer.concat([header, ...payload])
}

function entriesOf(env: Readonly<Record<string, string>>): Buffer[] {
  return Object.entries(env).map(([name, value]) => Buffer.from(`${name}=${value}`))
}

/** Assembles frames from chunks of any length. */
export class UpFrames {
  #rest: Buffer = Buffer.alloc(0)

  /**
   * @returns the frames that this chunk completes.
   * @throws {RangeError} for an invalid frame.
   */
  push(chunk: Buffer): UpFrame[] {
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk
    const frames: UpFrame[] = []
    let offset = 0
    while (bytes.length - offset >= upHeaderBytes) {
      const end = offset + upHeaderBytes + bytes.readUInt16LE(offset + 5)
      if (bytes.length < end) break
      const payload = bytes.subarray(offset + upHeaderBytes, end)
      frames.push(upFrame(bytes.readUInt32LE(offset), bytes.readUInt8(offset + 4), payload))
      offset = end
    }
    this.#rest = bytes.subarray(offset)
    return frames
  }
}

function upFrame(execId: number, kind: number, payload: Buffer): UpFrame {
  switch (kind) {
    case 1:
      return { kind: 'ready' }
    case 2:
      return { kind: 'pong' }
    case 3:
      return { kind: 'output', execId, stream: 'stdout', data: payload }
    case 4:
      return { kind: 'output', execId, stream: 'stderr', data: payload }
    case 5:
      return { kind: 'file', execId, file: fileOf(payload) }
    case 6: {
      const [exitCode, flags] = [payload.readInt32LE(0), payload.readUInt8(4)]
      if (exitCode < 0 || exitCode > 255) throw new RangeError(`exit code ${exitCode}`)
      return {
        kind: 'exit',
        execId,
        exitCode,
        isCut: { stdout: !!(flags & 1), stderr: !!(flags & 2), files: !!(flags & 4) },
      }
    }
    case 7:
      return { kind: 'gone', execId }
    case 8:
      return { kind: 'refused', execId, message: payload.toString().slice(0, 1000) }
    case 9:
      return { kind: 'noFolder', execId }
    case 10:
      return { kind: 'lost', execId }
    case 11:
      return { kind: 'closed', execId }
    default:
      throw new RangeError(`frame of kind ${kind}`)
  }
}

function fileOf(payload: Buffer): ExecFile {
  const sizeBytes = Number(payload.readBigUInt64LE(0))
  const pathEnd = 10 + payload.readUInt16LE(8)
  const [path, mediaType] = [payload.subarray(10, pathEnd).toString(), payload.subarray(pathEnd).toString()]
  if (!path.startsWith('/workspace/') || !Number.isSafeInteger(sizeBytes)) throw new RangeError('file')
  if (!/^[\w.+/-]*$/.test(mediaType)) throw new RangeError('media type')
  return { path, sizeBytes, ...(mediaType && { mediaType }) }
}
