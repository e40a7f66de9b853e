// The program that `npm run -s chat` starts.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const main = fileURLToPath(new URL('main.ts', import.meta.url))

function start(port: string) {
  const env = { PATH: process.env['PATH'], PORT: port }
  return spawn(process.execPath, [main], { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
}

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
  const headers = { cookie: page.headers.getSetCookie()[0]?.split(';')[0] ?? '', origin: url }
  const { id: chatId } = (await (await fetch(`${url}/api/chats`, { method: 'POST', headers })).json()) as { id: string }
  const body = { type: 'message', chatId, answerId: crypto.randomUUID(), messageId: '1', text: 'Start a long job' }
  const answer = await fetch(`${url}/api/chat`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  let text = ''
  for await (const chunk of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk
    if (text.includes('has started')) break
  }
  expect(text).toContain('has started')

  child.kill('SIGINT')
  expect((await closed)[0]).toBe(130)
  // The program leads its own process group, because it is detached. The group is empty: no sandbox.
  expect(() => process.kill(-(child.pid ?? 0), 0)).toThrow('ESRCH')
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
