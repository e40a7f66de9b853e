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

/** A chat completion of OpenAI's API: the parts that a stream repeats. */
interface Completion {
  choices: { message: { tool_calls?: object[] }; finish_reason: string }[]
  usage: object
}

/** The same completion as OpenAI's stream: one chunk with everything, and one with the end. */
export function streamedCompletion({ choices, usage, ...rest }: Completion): string {
  const [choice] = choices
  const calls = choice?.message.tool_calls?.map((call, index) => ({ index, ...call }))
  const delta = { ...choice?.message, ...(calls && { tool_calls: calls }) }
  const base = { ...rest, object: 'chat.completion.chunk' }
  const chunks = [
    { ...base, choices: [{ index: 0, delta, finish_reason: null }] },
    { ...base, choices: [{ index: 0, delta: {}, finish_reason: choice?.finish_reason }], usage },
  ]
  return `${chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join('')}data: [DONE]\n\n`
}
