import { type Agent, Theazo } from '@theazo/core'

/** An event of a run on the wire: its name and its data. Data that is not an object is sent as it is. */
export type WireEvent = readonly [name: string, data: unknown]

export interface RunServer {
  /** The agent of the run. Its task is `task_1`. */
  agent: Agent
  /** The number of events that have been read from the server. */
  sent(): number
  /** Paths of the requests, and `closed` for each stream that the client has closed. */
  log: string[]
}

interface RunServerOptions {
  isCut?: boolean
  isCancelRefused?: boolean
  perRead?: number
  firstId?: number
}

/**
 * A server in memory, as a `fetch`, with one run of these events. They are replayed after `Last-Event-ID`.
 *
 * @param firstId the number of the first event. Default 1.
 * @param isCut if true, the stream breaks off after its events and the server then refuses further ones.
 * @param isCancelRefused if true, the task cannot be cancelled.
 * @param perRead events in one chunk of the response. Default: all.
 */
export function runServer(
  events: readonly WireEvent[],
  { isCut = false, isCancelRefused = false, perRead = events.length, firstId = 1 }: RunServerOptions = {},
): RunServer {
  const log: string[] = []
  let sent = 0
  let streams = 0
  const encoder = new TextEncoder()
  const stream = (after: number, close: () => void): ReadableStream<Uint8Array> => {
    let next = Math.max(0, after - firstId + 1)
    return new ReadableStream(
      {
        pull(controller) {
          const part = events.slice(next, next + perRead)
          if (part.length === 0) {
            if (isCut) controller.close()
            return
          }
          const text = part.map(([name, data], index) => {
            const raw = typeof data === 'object' ? JSON.stringify({ taskId: 'task_1', ...data }) : String(data)
            return `id: ${next + index + firstId}\nevent: ${name}\ndata: ${raw}\n\n`
          })
          next += part.length
          sent = Math.max(sent, next)
          controller.enqueue(encoder.encode(text.join('')))
        },
        cancel: close,
      },
      { highWaterMark: 0 },
    )
  }
  const fetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const path = new URL(String(input)).pathname.replace('/v1/agents/agt_1', '')
    log.push(`${init?.method ?? 'GET'} ${path}`)
    const headers = { 'theazo-features': 'replay, tasks' }
    if (path === '/stream') {
      streams += 1
      if (isCut && streams > 1) {
        const error = { code: 'not_found', message: 'There is no agent agt_1 on 10.0.0.7.', requestId: 'req_1' }
        return Response.json({ error }, { status: 404, headers })
      }
      const after = Number(new Headers(init?.headers).get('last-event-id') ?? 0)
      let isClosed = false
      const close = (): void => {
        if (!isClosed) log.push('closed')
        isClosed = true
      }
      if (init?.signal?.aborted) close()
      init?.signal?.addEventListener('abort', close)
      return new Response(stream(after, close), { headers: { ...headers, 'content-type': 'text/event-stream' } })
    }
    if (isCancelRefused && path.endsWith('/cancel')) {
      const error = { code: 'internal_error', message: 'The store is full.', requestId: 'req_1' }
      return Response.json({ error }, { status: 500, headers })
    }
    const task = { id: 'task_1', agentId: 'agt_1', status: path.endsWith('/cancel') ? 'cancelled' : 'running' }
    return Response.json(path === '/run' ? { taskId: 'task_1', agentId: 'agt_1' } : task, { headers })
  }
  const theazo = new Theazo({ apiKey: 'th_live_memory', baseUrl: 'http://theazo.test', fetch, maxRetries: 0 })
  return { agent: theazo.agent('agt_1'), sent: () => sent, log }
}
