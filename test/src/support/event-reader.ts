import { EventSourceParserStream } from 'eventsource-parser/stream'

/** An event as it came over the wire. */
export interface ReadEvent {
  id: number
  type: string
  /** JSON, as its bytes were. */
  data: string
}

/** The events of one connection, until it ends. @throws where it breaks. */
export async function* readEvents({ body }: Response): AsyncGenerator<ReadEvent> {
  if (!body) return
  const events = body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())
  for await (const { id, event, data } of events) yield { id: Number(id), type: event ?? 'message', data }
}
