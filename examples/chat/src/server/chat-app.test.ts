// The routes without a browser: what a page of ours never sends, and what must hold although nobody reads.
import { get } from 'node:http'
import { MockLanguageModelV4, simulateReadableStream } from 'ai/test'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import type { ChatList } from '../protocol.ts'
import { ChatUser } from '../testing/chat-user.ts'
import { startTestChat, type TestChat } from '../testing/test-chat.ts'
import { logError } from './log-error.ts'
import { scriptedModel } from './scripted-model.ts'

let chat: TestChat
/** The model of the test that runs. */
let model: MockLanguageModelV4
beforeAll(async () => {
  chat = await startTestChat({ model: new MockLanguageModelV4({ doStream: (options) => model.doStream(options) }) })
})
beforeEach(() => {
  model = scriptedModel()
})
afterAll(async () => {
  await chat[Symbol.asyncDispose]()
})

test('an answer goes on after its reader has left, and can be read from its start', async () => {
  const user = await ChatUser.open(chat.url)
  const left = new AbortController()
  const first = await user.ask('Start a long job', { signal: left.signal })
  await first.until('has started')
  left.abort()
  const { answerId, messages } = await user.snapshot()
  expect(messages.map(({ role }) => role)).toEqual(['user'])
  const second = await user.stream(answerId)
  const text = await second.until('3 s')
  expect(text).toContain('"type":"start"')
  expect((await user.post(`/api/chat/${user.chatId}/stop`)).status).toBe(204)
  expect((await user.snapshot()).answerId).toBeUndefined()
  expect(await second.rest()).toContain('"type":"abort"')
})

test('only one answer at a time runs in a chat', async () => {
  const user = await ChatUser.open(chat.url)
  const first = await user.ask('Count to five')
  const second = await user.ask('Count to five')
  expect([first.status, second.status]).toEqual([200, 409])
  expect(await first.written()).toContain('5 steps')
  expect((await user.snapshot()).messages.map(({ role }) => role)).toEqual(['user', 'assistant'])
})

test('a reload during an approved call shows the message from its start', async () => {
  // The call that is approved takes long, and so does nothing else.
  const calls = ['write_file', 'run_code']
  const inputs = [
    { path: 'a.txt', content: 'x' },
    { language: 'bash', code: 'echo approved; sleep 60' },
  ]
  model = modelThatCalls(calls, inputs)
  const user = await ChatUser.open(chat.url)
  const asked = await (await user.ask('go')).rest()
  const [, id = ''] = /"approvalId":"([^"]+)"/.exec(asked) ?? []
  const answer = await user.decide([{ id, approved: true }])
  const own = await answer.until('approved\\n')
  expect(own).not.toContain('tool-input-available","toolCallId":"call_0"') // the page that asked has it
  const { messages, answerId } = await user.snapshot()
  expect(messages.map(({ role }) => role)).toEqual(['user'])
  const replay = await (await user.stream(answerId)).until('approved\\n')
  for (const type of [
    'tool-input-available',
    'tool-approval-request',
    'tool-approval-response',
    'tool-output-available',
  ]) {
    expect(replay).toContain(`"type":"${type}"`)
  }
  await user.post(`/api/chat/${user.chatId}/stop`)
})

test('decisions that the chat does not wait for are refused, and nothing runs', async () => {
  const user = await ChatUser.open(chat.url)
  const asked = await (await user.ask('Write notes')).rest()
  const [, id = ''] = /"approvalId":"([^"]+)"/.exec(asked) ?? []
  const invented = await user.decide([{ id: 'invented', approved: true }])
  const tooMany = await user.decide([
    { id, approved: true },
    { id: 'invented', approved: true },
  ])
  expect([invented.status, tooMany.status]).toEqual([409, 409])
  const approved = await user.decide([{ id, approved: true }])
  expect(await approved.written()).toContain('The notes are saved')
  expect((await user.decide([{ id, approved: true }])).status).toBe(409)
})

test('a message instead of a decision refuses the call, and the model hears of it', async () => {
  model = modelThatCalls(['write_file'], [{ path: 'a.txt', content: 'x' }])
  const user = await ChatUser.open(chat.url)
  await (await user.ask('write')).rest()
  expect(await (await user.ask('never mind')).written()).toBe('done')
  expect(JSON.stringify(model.doStreamCalls.at(-1)?.prompt)).toContain('"value":"The user wrote a message instead."')
  expect((await user.get(`/api/chat/${user.chatId}/files/a.txt`)).status).toBe(404)
})

test("another user's chat does not exist", async () => {
  const [user, other] = [await ChatUser.open(chat.url), await ChatUser.open(chat.url)]
  const { chatId } = user
  const asked = await (await user.ask('Write notes')).rest()
  const [, id = ''] = /"approvalId":"([^"]+)"/.exec(asked) ?? []
  const statuses = async (by: ChatUser): Promise<number[]> => {
    const path = `/api/chat/${chatId}`
    const gets = await Promise.all([by.get(path), by.get(`${path}/stream`), by.get(`${path}/files/notes.md`)])
    const start = { chatId, answerId: crypto.randomUUID() }
    const decision = await by.post('/api/chat', { ...start, type: 'approvals', approvals: [{ id, approved: true }] })
    await decision.text()
    const message = await by.post('/api/chat', { ...by.message('Hello'), chatId })
    await message.text()
    return [...gets, decision, message, await by.post(`${path}/stop`)].map(({ status }) => status)
  }
  expect(await statuses(other)).toEqual([404, 404, 404, 404, 404, 404])
  expect(await statuses(user)).toEqual([200, 204, 404, 200, 200, 204]) // the file is made by the decision
  const list = (await (await other.get('/api/chats')).json()) as ChatList
  expect(list.chats.map((entry) => entry.id)).toEqual([other.chatId])
})

test('after a stop the model hears what was stopped, and the chat goes on', async () => {
  model = modelThatCalls(['run_code'], [{ language: 'bash', code: 'echo started; sleep 600' }])
  const user = await ChatUser.open(chat.url)
  await (await user.ask('run')).until('started\\n')
  await user.post(`/api/chat/${user.chatId}/stop`)
  expect(await (await user.ask('and now?')).written()).toBe('done')
  const prompt = JSON.stringify(model.doStreamCalls.at(-1)?.prompt)
  expect(prompt).toContain('The code was stopped before its end.')
  expect(prompt).toContain('started')
})

test('an approved call that is stopped before it has a result leaves no call open', async () => {
  model = modelThatCalls(['write_file'], [{ path: 'a.txt', content: 'x' }])
  const user = await ChatUser.open(chat.url)
  const asked = await (await user.ask('write')).rest()
  const [, id = ''] = /"approvalId":"([^"]+)"/.exec(asked) ?? []
  const answer = await user.decide([{ id, approved: true }]) // the first call of a chat takes long: it makes the sandbox
  await user.post(`/api/chat/${user.chatId}/stop`)
  expect(await answer.rest()).toContain('"errorText":"The call was stopped."')
  expect(await (await user.ask('and now?')).written()).toBe('done')
})

test.each([
  ['no JSON', '{', 400],
  ['an unknown type', { type: 'other' }, 400],
  ['a text that is empty', { text: ' ' }, 400],
  ['a text that is too long', { text: 'x'.repeat(8001) }, 400],
  ['a body that is too large', { text: 'x'.repeat(70_000) }, 413],
  ['an answer id that is no UUID', { answerId: '1' }, 400],
  ['the retry of an empty chat', { type: 'retry' }, 409],
  ['a chat that does not exist', { chatId: crypto.randomUUID() }, 404],
])('%s is refused', async (_, change, status) => {
  const user = await ChatUser.open(chat.url)
  const body = typeof change === 'string' ? change : { ...user.message('Hello'), ...change }
  const response = await user.post('/api/chat', body)
  expect([response.status, await response.json()]).toEqual([status, { error: expect.stringMatching(/\w+\.$/) }])
  expect((await user.snapshot()).messages).toEqual([])
})

test('a page of another origin, and a name that is not ours, are refused', async () => {
  const user = await ChatUser.open(chat.url)
  const { port } = new URL(chat.url)
  const headers = { origin: 'http://evil.test', 'content-type': 'text/plain' }
  const body = JSON.stringify(user.message('Hello'))
  expect((await fetch(`${chat.url}/api/chat`, { method: 'POST', headers, body })).status).toBe(403)
  const statusOf = (host: string) =>
    new Promise((resolve, reject) => {
      get({ port, path: '/', headers: { host } }, ({ statusCode }) => resolve(statusCode)).on('error', reject)
    })
  expect([await statusOf(`localhost:${port}`), await statusOf(`evil.test:${port}`)]).toEqual([200, 421])
})

test('a download is never shown as a page, and stays in the workspace', async () => {
  model = modelThatCalls(['run_code'], [{ language: 'bash', code: 'echo "<script>1</script>" > "a b\'.html"' }])
  const author = await ChatUser.open(chat.url)
  await (await author.ask('go')).rest()
  const files = `/api/chat/${author.chatId}/files`
  const response = await author.get(`${files}/a%20b'.html`)
  expect(await response.text()).toBe('<script>1</script>\n')
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'content-type': 'application/octet-stream',
    'content-disposition': "attachment; filename*=UTF-8''a%20b%27.html",
    'x-content-type-options': 'nosniff',
    'content-security-policy': expect.stringContaining("default-src 'self'"),
  })
  expect((await author.get(`${files}/missing.txt`)).status).toBe(404)
  expect((await author.get(`${files}/%2Fetc%2Fpasswd`)).status).toBe(404)
  expect((await author.get(`${files}/..%2F..%2Fetc%2Fpasswd`)).status).toBe(404)
  const other = await ChatUser.open(chat.url)
  expect((await other.get(`${files}/a%20b'.html`)).status).toBe(404)
})

test('a user whose limit is reached is told so by the tool, and the log has the error', async () => {
  await using small = await startTestChat({ capCents: 0 })
  const user = await ChatUser.open(small.url)
  expect(await (await user.get('/api/usage')).json()).toEqual({ spentCents: 0, capCents: 0 })
  await expect(small.sandboxOf(user.chatId)).rejects.toThrow('no sandbox') // a report must not cost anything
  const logged = vi.spyOn(console, 'error').mockReturnValue()
  expect(await (await user.ask('Count to five')).rest()).toMatch(/"errorText":"[^"]*limit/)
  expect(String(logged.mock.calls)).toContain('SessionLimitExceededError: ')
  logged.mockRestore()
})

test('a failure of the model quotes nothing to the user and no key in the log, and the message can be answered again', async () => {
  let isDown = true
  const works = modelThatCalls([], [])
  model = new MockLanguageModelV4({
    doStream: async (options) => {
      if (isDown) throw new Error('https://internal.test refuses sk-secret')
      return await works.doStream(options)
    },
  })
  const user = await ChatUser.open(chat.url)
  const logged = vi.spyOn(console, 'error').mockReturnValue()
  const failed = await (await user.ask('Hello')).rest()
  expect(logged.mock.calls).toEqual([['Error: https://internal.test refuses [key]']])
  logged.mockRestore()
  expect(failed).toContain('"errorText":"The model could not answer."')
  expect(failed).not.toContain('secret')
  expect((await user.snapshot()).messages.map(({ role }) => role)).toEqual(['user'])
  isDown = false
  expect(await (await user.retry()).written()).toBe('done')
})

test('after a failure in the second step the question is answered again, from its start', async () => {
  const calls = modelThatCalls(['run_code'], [{ language: 'bash', code: 'echo ran' }])
  let isDown = true
  model = new MockLanguageModelV4({
    doStream: async (options) => {
      if (isDown && options.prompt.at(-1)?.role === 'tool') throw new Error('down')
      return await calls.doStream(options)
    },
  })
  const user = await ChatUser.open(chat.url)
  const logged = vi.spyOn(console, 'error').mockReturnValue()
  const failed = await (await user.ask('go')).rest()
  logged.mockRestore()
  expect(failed).toContain('ran\\n')
  expect(failed).toContain('"errorText":"The model could not answer."')
  const half = await user.snapshot()
  expect(half).toMatchObject({ messages: [{ role: 'user' }, { role: 'assistant' }], hasFailed: true })
  isDown = false
  expect(await (await user.retry()).written()).toBe('done')
  const { messages, hasFailed } = await user.snapshot()
  expect([messages.map(({ role }) => role), hasFailed]).toEqual([['user', 'assistant'], undefined])
  expect(messages[1]?.id).not.toBe(half.messages[1]?.id)
  expect((await user.retry()).status).toBe(409) // it has an answer now
})

test('a stop while the model writes a call stores no empty answer', async () => {
  model = new MockLanguageModelV4({
    doStream: async () => ({
      stream: new ReadableStream<Chunk>({
        start(controller) {
          controller.enqueue({ type: 'tool-input-start', id: '1', toolName: 'run_code' })
          controller.enqueue({ type: 'tool-input-delta', id: '1', delta: '{"language":' })
        },
      }),
    }),
  })
  const user = await ChatUser.open(chat.url)
  await (await user.ask('go')).until('tool-input-delta')
  await user.post(`/api/chat/${user.chatId}/stop`)
  expect((await user.snapshot()).messages.map(({ role }) => role)).toEqual(['user'])
})

test('a report of the cost makes no session, and a session that exists gets the new limit', async () => {
  await using small = await startTestChat({ capCents: 50 })
  const user = await ChatUser.open(small.url)
  expect(await (await user.get('/api/usage')).json()).toEqual({ spentCents: 0, capCents: 50 })
  expect((await small.theazo.sessions.list().page()).data).toEqual([])
  const limits = { maxCost: { amount: 500, currency: 'usd', period: 'day' } } as const
  const session = await small.theazo.sessions.forUser(user.userId, { limits }) // of an app with another setting
  await (await user.ask('Count to five')).rest()
  expect((await session.refresh()).data.limits).toEqual({ maxCost: { ...limits.maxCost, amount: 50 } })
})

test('a mistake of the model is not logged', async () => {
  model = modelThatCalls(['read_file'], [{ path: 'none' }])
  const user = await ChatUser.open(chat.url)
  const logged = vi.spyOn(console, 'error').mockReturnValue()
  expect(await (await user.ask('go')).rest()).toContain('tool-output-error')
  expect(logged.mock.calls).toEqual([])
  logged.mockRestore()
})

test.each([
  ['Google', `AIza${'Sy0-'.repeat(9)}`],
  ['AWS', 'AKIAABCDEFGHIJKLMNOP'],
  ['a bearer token', 'Bearer abc.def'],
])('the log has no key of %s', (_, key) => {
  const logged = vi.spyOn(console, 'error').mockReturnValue()
  logError(new Error(`refused: ${key}, sorry`))
  expect(logged.mock.calls).toEqual([['Error: refused: [key], sorry']])
  logged.mockRestore()
})

test('the cookie is sent with a link from another site, and is Secure behind a proxy with HTTPS', async () => {
  const cookieOf = async (headers: Record<string, string>) =>
    (await fetch(chat.url, { headers })).headers.get('set-cookie')
  const plain = await cookieOf({})
  expect(plain).toMatch(/^chat_user=.*; HttpOnly; SameSite=Lax$/)
  expect(plain).not.toContain('Secure')
  expect(await cookieOf({ 'x-forwarded-proto': 'https' })).toContain('; Secure')
})

const usage = {
  inputTokens: { total: 0, noCache: 0, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 0, text: 0, reasoning: 0 },
}
type Chunk =
  Awaited<ReturnType<MockLanguageModelV4['doStream']>>['stream'] extends ReadableStream<infer Part> ? Part : never

/** A model that makes these calls, one in each turn, and then says `done`. */
function modelThatCalls(tools: readonly string[], inputs: readonly object[]): MockLanguageModelV4 {
  return new MockLanguageModelV4({
    doStream: async ({ prompt }) => {
      const turn = prompt.filter(({ role }) => role === 'tool').length
      const toolName = tools[turn]
      const chunks: Chunk[] = toolName
        ? [
            { type: 'tool-call', toolCallId: `call_${turn}`, toolName, input: JSON.stringify(inputs[turn]) },
            { type: 'finish', finishReason: { unified: 'tool-calls', raw: '' }, usage },
          ]
        : [
            { type: 'text-start', id: '1' },
            { type: 'text-delta', id: '1', delta: 'done' },
            { type: 'text-end', id: '1' },
            { type: 'finish', finishReason: { unified: 'stop', raw: '' }, usage },
          ]
      return { stream: simulateReadableStream({ initialDelayInMs: null, chunkDelayInMs: null, chunks }) }
    },
  })
}
