import { EventSourceParserStream } from 'eventsource-parser/stream'

/** An event as it was received. */
export interface ReadEvent {
  id: number
  type: string
  /** The unparsed JSON. */
  data: string
}

/** The events of one connection, until it ends. @throws if the connection breaks. */
export async function* readEvents({ body }: Response): AsyncGenerator<ReadEvent> {
  if (!body) return
  const events = body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())
  for await (const { id, event, data } of events) yield { id: Number(id), type: event ?? 'message', data }
}
