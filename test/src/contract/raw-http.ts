import { connect } from 'node:net'

/** The answer on one connection. */
export interface RawAnswer {
  /** Undefined if the server closed the connection without an answer. */
  status: number | undefined
  /** Names in lower case; the last value of a repeated header. */
  headers: Record<string, string>
  body: string
  /** Everything that was received. */
  text: string
}

/**
 * Sends bytes as they are and reads until the server closes the connection, or until the head of an event stream.
 *
 * @param timeoutMs rejects if the server neither answers nor closes the connection by then.
 * @param isCut destroys the connection as soon as the bytes are sent.
 */
export async function sendRaw(
  port: number,
  bytes: Uint8Array,
  { timeoutMs = 10_000, isCut = false, isEnded = false } = {},
): Promise<RawAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<RawAnswer>()
  const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
  const chunks: Buffer[] = []
  const text = (): string => Buffer.concat(chunks).toString('utf8')
  const timer = setTimeout(() => {
    reject(new Error(`the answer did not end within ${timeoutMs} ms; received: ${text().slice(0, 500)}`))
    socket.destroy()
  }, timeoutMs)
  socket.on('data', (chunk) => {
    chunks.push(chunk)
    if (chunks.length <= 4 && /content-type: text\/event-stream[^]*\r\n\r\n/i.test(text())) socket.destroy()
  })
  socket.on('end', () => socket.destroy())
  // The server may reset a refused request while it is still being sent; the bytes read before are the answer.
  socket.on('error', () => socket.destroy())
  socket.on('close', () => resolve(parse(text())))
  socket.write(bytes, () => {
    if (isCut) socket.destroy()
    else if (isEnded) socket.end()
  })
  try {
    return await promise
  } finally {
    clearTimeout(timer)
  }
}

function parse(text: string): RawAnswer {
  const whole = text.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '')
  const end = whole.indexOf('\r\n\r\n')
  const [first = '', ...lines] = whole.slice(0, end === -1 ? undefined : end).split('\r\n')
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1]
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    }),
  )
  const rest = end === -1 ? '' : whole.slice(end + 4)
  const body = headers['transfer-encoding'] === 'chunked' ? unchunked(rest) : rest
  return { status: status === undefined ? undefined : Number(status), headers, body, text }
}

/** Sufficient for chunks that end between characters; the server sends JSON in one chunk. */
function unchunked(text: string): string {
  const bytes = Buffer.from(text)
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    const size = Number.parseInt(bytes.subarray(at, lineEnd).toString(), 16)
    if (!size) break
    parts.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size))
    at = lineEnd + 2 + size + 2
  }
  return Buffer.concat(parts).toString()
}
