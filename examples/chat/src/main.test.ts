// The program that `npm run -s chat` starts.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { startModelServer } from '../../../test/src/support/model-server.ts'
import { ChatUser } from './testing/chat-user.ts'

const main = fileURLToPath(new URL('main.ts', import.meta.url))

function start(port: string, more: Record<string, string> = {}) {
  const env = { PATH: process.env['PATH'], PORT: port, ...more }
  const child = spawn(process.execPath, [main], { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  started.push(child)
  return child
}

// A test that fails must not leave a server.
const started: ChildProcess[] = []
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGTERM')
})

test('it prints its address, serves the page, and a signal leaves no process', async () => {
  const child = start('0')
  const closed = once(child, 'close')
  const lines = createInterface(child.stdout)
  const [line] = (await once(lines, 'line')) as [string]
  expect(line).toMatch(/^Chat with Scripted model: http:\/\/127\.0\.0\.1:\d+$/)
  const url = line.split(': ')[1] ?? ''
  const page = await fetch(url)
  expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('<div id="root">')])

  // A sandbox runs when the signal arrives.
  const user = await ChatUser.open(url)
  await (await user.ask('Start a long job')).until('has started')

  child.kill('SIGINT')
  expect((await closed)[0]).toBe(130)
  // The program leads its own process group, because it is detached. The group is empty: no sandbox.
  expect(() => process.kill(-(child.pid ?? 0), 0)).toThrow('ESRCH')
})

test('with a key of Anthropic that model answers, by its own protocol', async () => {
  const code = { language: 'python', code: 'print(21021 * 2)' }
  await using models = await startModelServer(() => [{ name: 'run_code', input: code }])
  const key = 'sk-ant-of-the-test'
  const child = start('0', { ANTHROPIC_API_KEY: key, ANTHROPIC_BASE_URL: `${models.url}/v1` })
  const closed = once(child, 'close')
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  expect(line).toContain('Chat with Anthropic claude-sonnet-5-5: http')
  const user = await ChatUser.open(line.split(': ').at(-1) ?? '')
  const answer = await user.ask('What is 21021 * 2?')
  expect(await answer.written()).toBe('{}') // the text of this server's models
  expect(await answer.rest()).toContain('"stdout":"42042\\n"')
  expect(models.requests.map(({ path, headers }) => [path, headers['x-api-key']])).toEqual([
    ['/v1/messages', key],
    ['/v1/messages', key],
  ])
  expect(JSON.stringify(models.requests.at(-1)?.body)).toContain('42042')
  child.kill('SIGTERM')
  await closed
})

test('a port that is no number is a plain message', async () => {
  const child = start('http')
  let err = ''
  child.stderr.on('data', (chunk) => (err += chunk))
  expect((await once(child, 'close'))[0]).toBe(1)
  expect(err).toBe('PORT must be a whole number, not http.\n')
})

test('a port that is taken is a plain message', async () => {
  const first = start('0')
  const closed = once(first, 'close')
  const [line] = (await once(createInterface(first.stdout), 'line')) as [string]
  const second = start(line.split(':').at(-1) ?? '')
  let err = ''
  second.stderr.on('data', (chunk) => (err += chunk))
  expect((await once(second, 'close'))[0]).toBe(1)
  expect(err).toMatch(/^listen EADDRINUSE.*\. Choose another port with PORT\.\n$/)
  first.kill('SIGTERM')
  expect((await closed)[0]).toBe(143)
})
