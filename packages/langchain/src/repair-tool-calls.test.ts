import { AIMessage, HumanMessage, ToolMessage } from '@langchain/core/messages'
import { expect, test } from 'vitest'
import { repairToolCalls } from './repair-tool-calls.ts'

const human = new HumanMessage('go')
const ai = (...ids: string[]) =>
  new AIMessage({ content: '', tool_calls: ids.map((id) => ({ type: 'tool_call', id, name: 'run_code', args: {} })) })
const result = (id: string) => new ToolMessage({ tool_call_id: id, content: id, name: 'run_code' })

const shape = (messages: ReturnType<typeof repairToolCalls>) =>
  messages.map((message) =>
    ToolMessage.isInstance(message) ? `${message.tool_call_id} ${message.status}` : message.type,
  )

test('a complete history is returned as it is', () => {
  const messages = [human, ai('a', 'b'), result('a'), result('b'), new AIMessage('done'), human]
  expect(repairToolCalls(messages)).toBe(messages)
  const empty: [] = []
  expect(repairToolCalls(empty)).toBe(empty)
})

test('a call without a result gets an error, directly behind the calls', () => {
  expect(shape(repairToolCalls([human, ai('a', 'b'), result('b'), human]))).toEqual([
    'human',
    'ai',
    'a error',
    'b undefined',
    'human',
  ])
})

test('a result that follows another message is moved behind its call', () => {
  expect(shape(repairToolCalls([ai('a'), human, result('a')]))).toEqual(['ai', 'a undefined', 'human'])
})

test('calls of several turns are completed, each in its turn, also if they have the same id', () => {
  expect(shape(repairToolCalls([ai('a'), ai('a'), result('a'), ai('c')]))).toEqual([
    'ai',
    'a error',
    'ai',
    'a undefined',
    'ai',
    'c error',
  ])
})

test('the error tells the model that work may have been done', () => {
  const [, added] = repairToolCalls([ai('a')])
  expect(added).toMatchObject({ name: 'run_code', content: expect.stringContaining('Check before you repeat it.') })
})

test('a result without a call is dropped, and of two results the last counts', () => {
  const [first, last] = [result('a'), new ToolMessage({ tool_call_id: 'a', content: 'last' })]
  expect(shape(repairToolCalls([result('x'), human, ai('a'), first, last, result('y')]))).toEqual([
    'human',
    'ai',
    'a undefined',
  ])
  expect(repairToolCalls([ai('a'), first, last]).at(-1)).toBe(last)
})

test('a late result of an earlier turn does not remain behind a later one', () => {
  expect(shape(repairToolCalls([ai('a'), human, new AIMessage('b'), result('a')]))).toEqual([
    'ai',
    'a error',
    'human',
    'ai',
  ])
})
