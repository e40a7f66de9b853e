import { type Agent, Theazo } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import {
  convertToModelMessages,
  generateText,
  lastAssistantMessageIsCompleteWithApprovalResponses,
  type ModelMessage,
  stepCountIs,
  streamText,
  type ToolApprovalResponse,
  type UIMessage,
} from 'ai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApprovalRule, theazoApproval } from './approval.ts'
import { isVersion7, modelThatCalls, scriptedModel, textsReceived } from './testing/scripted-model.ts'
import { chunksOf, messageOf } from './testing/ui-chunks.ts'
import { theazoTools } from './tools.ts'

let local: LocalTheazo
let agent: Agent
beforeAll(async () => {
  local = await createLocalTheazo()
  agent = await (await new Theazo(local).sessions.forUser('approvals')).agents.create()
})
afterAll(() => local[Symbol.asyncDispose]())

const write = (path: string, content = 'approved') => ({ path, content })
const exists = (path: string) => agent.files.exists(path)
const stopWhen = stepCountIs(3)

/** The two ways to set a rule. The first works on AI SDK 7 alone. */
const ways: [string, (rule: ApprovalRule) => object][] = [
  ['toolApproval', (rule) => ({ tools: theazoTools({ agent }), toolApproval: theazoApproval(rule) })],
  ['needsApproval', (rule) => ({ tools: theazoTools({ agent, approval: rule }) })],
]
type Options = { tools: ReturnType<typeof theazoTools> }

describe.each(isVersion7 ? ways : ways.slice(1))('by %s', (way, set) => {
  const optionsOf = (rule: ApprovalRule) => set(rule) as Options

  test.each<[string, ApprovalRule, string[]]>([
    ['none', 'none', []],
    ['writes', 'writes', ['run_code', 'write_file']],
    ['all', 'all', ['run_code', 'write_file', 'read_file']],
    [
      'a function',
      ({ toolName, input }) => toolName === 'write_file' && JSON.stringify(input).includes('f'),
      ['write_file'],
    ],
    ['a function of hints', async ({ readOnly }) => readOnly, ['read_file']],
  ])('the rule %s asks for the right calls', async (_name, rule, asked) => {
    const calls = [
      { tool: 'run_code', input: { language: 'bash', code: 'true', timeoutSeconds: null } },
      { tool: 'write_file', input: write('f') },
      { tool: 'read_file', input: { path: 'f', startLine: null, lineCount: null } },
    ]
    const { content } = await generateText({ ...optionsOf(rule), model: scriptedModel(calls, 'done'), prompt: 'go' })
    const requests = content.flatMap((part) => (part.type === 'tool-approval-request' ? [part.toolCall.toolName] : []))
    expect(requests).toEqual(asked)
  })

  test.each([
    [true, [expect.stringMatching(/^Wrote \S+ \(8 bytes\)\.$/)]],
    [false, [JSON.stringify({ type: 'execution-denied', reason: 'not that file' })]],
  ])('a call waits for the answer of the user: %s', async (approved, texts) => {
    const path = `${way}-${approved}`
    const options = optionsOf('writes')
    const first = await generateText({
      ...options,
      model: modelThatCalls('write_file', write(path)),
      prompt: 'go',
      stopWhen,
    })
    const request = first.content.find((part) => part.type === 'tool-approval-request') ?? expect.fail('no request')
    expect(await exists(path)).toBe(false)
    const response: ToolApprovalResponse = {
      type: 'tool-approval-response',
      approvalId: request.approvalId,
      approved,
      ...(!approved && { reason: 'not that file' }),
    }
    const messages: ModelMessage[] = [
      { role: 'user', content: 'go' },
      ...first.response.messages,
      { role: 'tool', content: [response] },
    ]
    const model = scriptedModel('done')
    const { text } = await generateText({ ...options, model, messages, stopWhen })
    expect(text).toBe('done')
    expect(textsReceived(model).slice(-1)).toEqual(texts)
    expect(await exists(path)).toBe(approved)
  })

  const secret = { experimental_toolApprovalSecret: 'of the server' }

  /** The message of an assistant that asks for the approval of a write. */
  const asking = async (path: string) => {
    const model = modelThatCalls('write_file', write(path))
    const result = streamText({ ...optionsOf('writes'), ...secret, model, prompt: 'go', stopWhen })
    return await messageOf(await chunksOf(result.toUIMessageStream({ generateMessageId: () => 'assistant_1' })))
  }
  /** The next request of the browser, after the user has approved. */
  const approve = async (message: UIMessage, input: object | undefined = undefined) => {
    const parts = message.parts.map((part) => {
      if (part.type !== 'tool-write_file' || !('approval' in part) || !part.approval) return part
      const approval = { ...part.approval, approved: true }
      return { ...part, ...(input && { input }), state: 'approval-responded', approval } as UIMessage['parts'][number]
    })
    const user: UIMessage = { id: 'user_1', role: 'user', parts: [{ type: 'text', text: 'go' }] }
    const originalMessages = [user, { ...message, parts }]
    expect(lastAssistantMessageIsCompleteWithApprovalResponses({ messages: originalMessages })).toBe(true)
    const options = optionsOf('writes')
    const messages = await convertToModelMessages(originalMessages, options)
    const result = streamText({
      ...options,
      ...secret,
      model: scriptedModel('done'),
      messages,
      stopWhen,
      onError: () => {},
    })
    return await chunksOf(result.toUIMessageStream({ originalMessages }))
  }

  test('an approval in a chat runs the call and continues the same message', async () => {
    const message = await asking(`${way}-chat`)
    expect(message.parts.at(-1)).toMatchObject({ type: 'tool-write_file', state: 'approval-requested' })
    const chunks = await approve(message)
    expect(await agent.files.readText(`${way}-chat`)).toBe('approved')
    expect(chunks[0]).toMatchObject({ type: 'start', messageId: 'assistant_1' })
    expect(chunks.some(({ type }) => type === 'tool-output-available')).toBe(true)
  })

  test('an approval whose input was changed in the browser is refused', async () => {
    const chunks = await approve(await asking(`${way}-forged`), write('../home/agent/.bashrc', 'forged'))
    expect(chunks.find(({ type }) => type === 'error')).toBeDefined()
    expect(chunks.some(({ type }) => type === 'tool-output-available')).toBe(false)
    expect(await exists(`${way}-forged`)).toBe(false)
    expect(await agent.exec('bash', 'cat ~/.bashrc')).not.toMatchObject({ stdout: 'forged' })
  })
})
