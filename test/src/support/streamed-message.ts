/** A message of Anthropic's API, as its reference defines it: the parts that a stream repeats. */
interface Message {
  content: ({ type: 'text'; text: string } | { type: 'tool_use'; id: string; name: string; input: object })[]
  stop_reason: string
  usage: object
}

/** The same message as Anthropic's event stream: each block as a start, one delta and a stop. */
export function streamedMessage(message: Message): string {
  const events: object[] = [{ type: 'message_start', message: { ...message, content: [], stop_reason: null } }]
  for (const [index, block] of message.content.entries()) {
    const isText = block.type === 'text'
    const start = isText ? { ...block, text: '' } : { ...block, input: {} }
    const delta = isText
      ? { type: 'text_delta', text: block.text }
      : { type: 'input_json_delta', partial_json: JSON.stringify(block.input) }
    events.push({ type: 'content_block_start', index, content_block: start })
    events.push({ type: 'content_block_delta', index, delta })
    events.push({ type: 'content_block_stop', index })
  }
  const { stop_reason, usage } = message
  events.push({ type: 'message_delta', delta: { stop_reason, stop_sequence: null }, usage }, { type: 'message_stop' })
  return events
    .map((event) => `event: ${(event as { type: string }).type}\ndata: ${JSON.stringify(event)}\n\n`)
    .join('')
}
