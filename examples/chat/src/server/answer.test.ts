// Answers without an HTTP server: what happens after a restart, and after a fault of the app itself.
import { type Agent, Theazo } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { readUIMessageStream } from 'ai'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { ChatMessage } from '../protocol.ts'
import { Answer, type AnswerOptions } from './answer.ts'
import { scriptedModel } from './scripted-model.ts'

let local: LocalTheazo
let agent: Agent
beforeAll(async () => {
  local = await createLocalTheazo()
  agent = await (await new Theazo(local).sessions.forUser('answers')).agents.create()
})
afterAll(() => local[Symbol.asyncDispose]())

const approval = { id: '1', approved: true }
const decided: ChatMessage[] = [
  { id: 'u', role: 'user', parts: [{ type: 'text', text: 'Write notes' }] },
  {
    id: 'a',
    role: 'assistant',
    parts: [
      { type: 'step-start' },
      {
        type: 'tool-write_file',
        toolCallId: 'c',
        state: 'approval-responded',
        input: { path: 'notes.md', content: 'kept' },
        approval,
      },
    ],
  },
]

/** Runs an answer that continues `decided`, without the answer that asked. */
function continued(sandbox: AnswerOptions['sandbox']) {
  const ended = Promise.withResolvers<ChatMessage[]>()
  const continues = {
    answer: undefined,
    decisions: [{ type: 'tool-approval-response', approvalId: approval.id, approved: true } as const],
  }
  const options = {
    id: 'x',
    messages: structuredClone(decided),
    model: scriptedModel(),
    sandbox,
    continues,
    onEnd: ended.resolve,
  }
  return { answer: new Answer(options), ended: ended.promise }
}

test('an approval after a restart runs the call, and a page that loads then shows the whole message', async () => {
  const { answer, ended } = continued(agent)
  let shown = answer.earlier.at(-1)
  const stream = answer.allChunks()
  for await (const each of readUIMessageStream<ChatMessage>({ stream, ...(shown && { message: shown }) })) shown = each
  const stored = await ended
  expect(stored.at(-1)?.parts[1]).toMatchObject({ type: 'tool-write_file', state: 'output-available' })
  expect(shown?.parts).toEqual(stored.at(-1)?.parts)
  expect(await agent.files.readText('notes.md')).toBe('kept')
})

test('a fault before the first request leaves no approved call open, and is logged', async () => {
  const logged = vi.spyOn(console, 'error').mockReturnValue()
  const { answer, ended } = continued(undefined as never)
  expect((await ended).at(-1)?.parts[1]).toMatchObject({ state: 'output-error', errorText: 'The call was stopped.' })
  const chunks = []
  for await (const chunk of answer.newChunks()) chunks.push(chunk)
  expect(chunks.map(({ type }) => type)).toEqual(['tool-output-error', 'error'])
  expect(logged.mock.calls).toEqual([[expect.stringContaining('exactly one of')]])
  expect(answer.hasFailed).toBe(true)
  logged.mockRestore()
})
