/**
 * A program that other processes resume: an agent whose `write_file` needs an approval. Its checkpoints are in a file.
 *
 * Usage: node approval-program.ts CHECKPOINTS (start | approve | reject)
 * Environment: THEAZO_API_KEY, THEAZO_BASE_URL.
 * It prints one line of JSON: the names of the calls that need approval, and the texts of the tool messages.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { deserialize, serialize } from 'node:v8'
import { AIMessage, HumanMessage, ToolMessage } from '@langchain/core/messages'
import { fakeModel } from '@langchain/core/testing'
import { Command, MemorySaver } from '@langchain/langgraph'
import { theazoInterruptOn, theazoTools } from '@theazo/langchain'
import { createAgent } from 'langchain'
import { approvals, bash } from './graphs.ts'

const [checkpoints = '', action] = process.argv.slice(2)

/** Writes every checkpoint to the file, before LangGraph goes on. */
class FileSaver extends MemorySaver {
  constructor() {
    super()
    if (existsSync(checkpoints)) Object.assign(this, deserialize(readFileSync(checkpoints)))
  }

  override async put(...args: Parameters<MemorySaver['put']>): ReturnType<MemorySaver['put']> {
    const result = await super.put(...args)
    this.#save()
    return result
  }

  override async putWrites(...args: Parameters<MemorySaver['putWrites']>): Promise<void> {
    await super.putWrites(...args)
    this.#save()
  }

  #save(): void {
    writeFileSync(checkpoints, serialize({ storage: this.storage, writes: this.writes }))
  }
}

const write = { name: 'write_file', args: { path: 'report.txt', content: 'approved' }, id: 'call_2' }
/** The scripted model answers by the number of tool results, as a model in another process would. */
const model = fakeModel()
for (let turn = 0; turn < 3; turn += 1) {
  model.respond((messages) => {
    const done = messages.filter((message) => ToolMessage.isInstance(message)).length
    const call = [bash('echo ran >> log', 'call_1'), write][done]
    return new AIMessage({
      content: call ? '' : 'done',
      tool_calls: call ? [{ ...call, type: 'tool_call' as const }] : [],
    })
  })
}
const assistant = createAgent({
  model,
  tools: theazoTools({ sandbox: ({ configurable }) => ({ userId: 'approver', name: configurable?.['thread_id'] }) }),
  middleware: [approvals({ ...theazoInterruptOn(), run_code: false })],
  checkpointer: new FileSaver(),
})
const config = { configurable: { thread_id: 'thread_1' } }
const decisions = action === 'approve' ? [{ type: 'approve' }] : [{ type: 'reject', message: 'not now' }]
const input = action === 'start' ? { messages: [new HumanMessage('go')] } : new Command({ resume: { decisions } })
const state = await assistant.invoke(input, config)
const interrupts =
  (state as { __interrupt__?: { value: { actionRequests: { name: string }[] } }[] }).__interrupt__ ?? []
process.stdout.write(
  `${JSON.stringify({
    pending: interrupts.flatMap(({ value }) => value.actionRequests.map(({ name }) => name)),
    results: state.messages.filter((message) => ToolMessage.isInstance(message)).map(({ text }) => text),
  })}\n`,
)
setInterval(() => {}, 1000) // the test kills this process
