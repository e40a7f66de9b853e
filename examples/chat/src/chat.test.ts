// The chat in a browser: each test is a new user with real sandboxes.
import { readFileSync } from 'node:fs'
import { MockLanguageModelV4 } from 'ai/test'
import axe from 'axe-core'
import type { Browser, Locator } from 'playwright-core'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { scriptedModel } from './server/scripted-model.ts'
import { ChatPage } from './testing/chat-page.ts'
import { openCuttablePort } from './testing/cuttable-port.ts'
import { launchBrowser } from './testing/launch-browser.ts'
import { startTestChat, type TestChat } from './testing/test-chat.ts'

let browser: Browser
let chat: TestChat
let isModelDown = false
beforeAll(async () => {
  const script = scriptedModel()
  const model = new MockLanguageModelV4({
    provider: script.provider,
    doStream: async (options) => {
      if (isModelDown) throw new Error('The model is down.')
      return await script.doStream(options)
    },
  })
  ;[browser, chat] = await Promise.all([launchBrowser(), startTestChat({ model })])
})
afterAll(async () => {
  await browser.close()
  await chat[Symbol.asyncDispose]()
})

/** True if the process that the long job has named exists in the chat's sandbox. */
async function isAlive(user: ChatPage): Promise<boolean> {
  const [, pid = 'no pid'] = /process (\d+)/.exec(await user.tool('Python').last().innerText()) ?? []
  const agent = await chat.sandboxOf(user.chatId)
  return (await agent.exec('bash', `kill -0 ${pid}`)).exitCode === 0
}

/** What the last Python program in this state has printed. */
function outputOf(user: ChatPage, state: string): Locator {
  return user.inState('Python', state).getByRole('group', { name: 'Output' })
}

/** Starts the long job, and waits until it runs. */
async function startLongJob(user: ChatPage): Promise<void> {
  await user.send('Start a long job')
  await outputOf(user, 'running').getByText('1 s').waitFor()
}

test('a message starts code, and its output appears while it runs', async () => {
  await using user = await ChatPage.open(browser, chat.url)
  await user.send('Count to five')
  const running = outputOf(user, 'running')
  await running.getByText('step 1 of 5').waitFor()
  expect(await running.innerText()).not.toContain('step 5')
  await user.answered('5 steps')
  expect((await outputOf(user, 'done').innerText()).trim()).toBe(
    [1, 2, 3, 4, 5].map((step) => `step ${step} of 5`).join('\n'),
  )
})

test('an image is shown, and files can be downloaded', async () => {
  await using user = await ChatPage.open(browser, chat.url)
  await user.send('Plot two waves')
  await user.answered('two damped waves')
  const image = user.page.getByRole('img', { name: 'Image waves.png' })
  expect(await image.evaluate((element) => (element as HTMLImageElement).naturalWidth)).toBe(640)

  const [download] = await Promise.all([
    user.page.waitForEvent('download'),
    user.page.getByRole('link', { name: 'waves.csv' }).click(),
  ])
  expect(download.suggestedFilename()).toBe('waves.csv')
  const lines = readFileSync(await download.path(), 'utf8')
    .trim()
    .split('\n')
  expect([lines.length, lines[0]]).toEqual([502, 't,a,b'])
})

test('a write runs only after the user approves it', async () => {
  await using user = await ChatPage.open(browser, chat.url)
  await user.send('Count to five') // makes the sandbox
  await user.answered('5 steps')
  await user.send('Write notes')
  await user.inState('Write notes.md', 'waiting').waitFor()
  const agent = await chat.sandboxOf(user.chatId)
  expect(await agent.files.exists('notes.md')).toBe(false)
  await user.button('Approve').click()
  await user.answered('The notes are saved')
  expect(await agent.files.readText('notes.md')).toContain('The user approved this file.')
  await user.inState('Write notes.md', 'done').getByRole('link', { name: 'notes.md' }).waitFor()
})

test('a refused call changes nothing, and the chat goes on', async () => {
  await using user = await ChatPage.open(browser, chat.url)
  await user.send('Write notes')
  await user.button('Approve').click()
  await user.answered('The notes are saved')
  await user.send('Delete the notes')
  await user.button('Refuse').click()
  await user.inState('Delete notes.md', 'refused').waitFor()
  await user.answered('You refused')
  const agent = await chat.sandboxOf(user.chatId)
  expect(await agent.files.exists('notes.md')).toBe(true)

  await user.send('Delete the notes')
  await user.button('Approve').click()
  await user.answered('The notes are deleted')
  expect(await agent.files.exists('notes.md')).toBe(false)
})

test('Stop kills the code in the sandbox, and the chat goes on', async () => {
  await using user = await ChatPage.open(browser, chat.url)
  await startLongJob(user)
  expect(await isAlive(user)).toBe(true)
  await user.button('Stop').click()
  await user.inState('Python', 'stopped').waitFor()
  await user.button('Send').waitFor()
  await expect.poll(() => isAlive(user)).toBe(false)
  await user.send('Count to five')
  await user.answered('5 steps')
})

test('after a reload the answer goes on, from its start', async () => {
  await using user = await ChatPage.open(browser, chat.url)
  await startLongJob(user)
  await user.page.reload()
  const output = outputOf(user, 'running')
  await output.getByText('process').waitFor()
  const [, seen = ''] = /(\d+) s\s*$/.exec(await output.innerText()) ?? []
  await output.getByText(`${Number(seen) + 1} s`).waitFor()
  expect(await user.page.getByText('This runs until you stop it.').count()).toBe(1)
  await user.button('Stop').click()
  await user.inState('Python', 'stopped').waitFor()

  await user.page.reload()
  await outputOf(user, 'stopped').getByText('has started').waitFor()
  await user.send('Hello')
  await user.answered('I am a script')
})

test('an approval that waits can be given after a reload', async () => {
  await using user = await ChatPage.open(browser, chat.url)
  await user.send('Write notes')
  await user.button('Approve').waitFor()
  await user.page.reload()
  await user.button('Approve').click()
  await user.answered('The notes are saved')
  expect(await (await chat.sandboxOf(user.chatId)).files.exists('notes.md')).toBe(true)
})

test('a second tab shows the same answer live, and can stop it', async () => {
  await using user = await ChatPage.open(browser, chat.url)
  const second = await ChatPage.openTab(user.context, user.page.url())
  await startLongJob(user)
  await outputOf(second, 'running').getByText('has started').waitFor()
  await second.button('Stop').click()
  await user.inState('Python', 'stopped').waitFor()
  await second.inState('Python', 'stopped').waitFor()
  await expect.poll(() => isAlive(user)).toBe(false)
})

test('Try again sends what did not arrive, and asks again for what has no answer', async () => {
  await using user = await ChatPage.open(browser, chat.url)
  const alert = user.page.getByRole('alert')
  await user.context.setOffline(true)
  await user.send('Hello')
  await alert.getByText('The connection to the server was lost.').waitFor()
  await user.context.setOffline(false)
  await user.button('Try again').click()
  await user.answered('I am a script')

  const logged = vi.spyOn(console, 'error').mockReturnValue()
  isModelDown = true
  await user.send('Count to five')
  await alert.getByText('The model could not answer.').waitFor()
  isModelDown = false
  logged.mockRestore()
  await user.button('Try again').click()
  await user.answered('5 steps')
  expect(await user.page.getByRole('article', { name: 'You' }).allInnerTexts()).toEqual(['Hello', 'Count to five'])
})

test('Try again replaces the half of an answer that failed', async () => {
  await using user = await ChatPage.open(browser, chat.url)
  const logged = vi.spyOn(console, 'error').mockReturnValue()
  await user.send('Count to five')
  await outputOf(user, 'running').getByText('step 1 of 5').waitFor()
  isModelDown = true // in the second step, which reads the result
  await user.page.getByRole('alert').getByText('The model could not answer.').waitFor()
  isModelDown = false
  logged.mockRestore()
  await user.button('Try again').click()
  await user.answered('5 steps')
  expect(await user.page.getByRole('article').count()).toBe(2)
})

test('a message that meets an answer from elsewhere goes back into the form', async () => {
  await using user = await ChatPage.open(browser, chat.url)
  await user.context.setOffline(true)
  await user.send('Hello')
  const alert = user.page.getByRole('alert')
  await alert.getByText('The connection to the server was lost.').waitFor()
  const [cookie] = await user.context.cookies()
  const headers = { cookie: `${cookie?.name}=${cookie?.value}`, 'content-type': 'application/json' }
  const ids = { chatId: user.chatId, answerId: crypto.randomUUID(), messageId: crypto.randomUUID() }
  const body = JSON.stringify({ type: 'message', ...ids, text: 'Start a long job' })
  const elsewhere = await fetch(`${chat.url}/api/chat`, { method: 'POST', headers, body })
  await elsewhere.body?.cancel()
  await user.context.setOffline(false)
  await user.button('Try again').click()
  await outputOf(user, 'running').getByText('1 s').waitFor()
  expect(await user.message.inputValue()).toBe('Hello')
  await user.button('Stop').click()
  await user.button('Send').click()
  await user.answered('I am a script')
})

test('New chat without a connection says so', async () => {
  await using user = await ChatPage.open(browser, chat.url)
  await user.context.setOffline(true)
  await user.button('New chat').click()
  const alert = user.page.getByRole('alert')
  await alert.waitFor()
  expect(await alert.innerText()).toBe('The connection to the server was lost.')
})

test('an answer whose connection was lost is shown again from its start', async () => {
  await using port = await openCuttablePort(chat.url)
  await using user = await ChatPage.open(browser, port.url)
  await startLongJob(user)
  port.cut()
  await user.page.getByRole('alert').getByText('The connection to the server was lost.').waitFor()
  await user.button('Try again').click()
  await outputOf(user, 'running').getByText('3 s').waitFor()
  expect(await user.page.getByText('This runs until you stop it.').count()).toBe(1)
  await user.button('Stop').click()
  await user.inState('Python', 'stopped').waitFor()
})

test('two chats of a user do not share files, and the menu switches between them', async () => {
  await using user = await ChatPage.open(browser, chat.url)
  const first = user.chatId
  await user.send('Write notes')
  await user.button('Approve').click()
  await user.answered('The notes are saved')
  await user.button('New chat').click()
  await user.page.getByText('An assistant with its own computer').waitFor()
  await user.send('Count to five')
  await user.answered('5 steps')
  const [one, two] = await Promise.all([chat.sandboxOf(first), chat.sandboxOf(user.chatId)])
  expect([await one.files.exists('notes.md'), await two.files.exists('notes.md')]).toEqual([true, false])
  expect(one.data.sessionId).toBe(two.data.sessionId) // one session, so one cap

  await user.page.getByText('Chats').click()
  await user.page.getByRole('link', { name: 'Write notes' }).click()
  await user.page.getByText('The notes are saved').waitFor()
  expect(user.chatId).toBe(first)
})

test('the page of a chat that does not exist says so, and opens a new one', async () => {
  await using user = await ChatPage.open(browser, chat.url)
  const page = await user.context.newPage()
  await page.goto(`${chat.url}/#${crypto.randomUUID()}`)
  await page.getByText('There is no such chat.').waitFor()
  await page.locator('main').getByRole('button', { name: 'New chat' }).click()
  await page.getByRole('textbox', { name: 'Message' }).waitFor()
  expect(page.url()).toMatch(/#[\da-f-]{36}$/)
})

test('the cost and the rest of the daily limit are shown', async () => {
  await using user = await ChatPage.open(browser, chat.url)
  const usage = user.page.getByText('spent today')
  expect(await usage.innerText()).toBe('$0.00 spent today, $2.00 left')
  await user.send('Count to five')
  await user.answered('5 steps')
  chat.pass(60_000) // the sandbox waits for a minute, at 5 cents
  await user.send('Hello')
  await user.answered('I am a script')
  await usage.filter({ hasNotText: '$0.00 spent' }).waitFor()
  const [, spent, left] = /^\$(\d\.\d\d) spent today, \$(\d\.\d\d) left$/.exec(await usage.innerText()) ?? []
  expect(Number(spent)).toBeGreaterThanOrEqual(0.05)
  expect(Number(spent) + Number(left)).toBeCloseTo(2)
})

test('everything works with the keyboard alone', async () => {
  await using user = await ChatPage.open(browser, chat.url)
  const { keyboard } = user.page
  const focused = () =>
    user.page.evaluate(() => document.activeElement?.getAttribute('id') ?? document.activeElement?.textContent)
  expect(await focused()).toBe('message')
  await keyboard.type('Write')
  await keyboard.press('Shift+Enter')
  await keyboard.type('notes')
  expect(await user.message.inputValue()).toBe('Write\nnotes')
  await keyboard.press('Enter')
  await user.button('Approve').waitFor()
  await user.page.getByText('The assistant waits for your approval.').waitFor({ state: 'attached' })
  await keyboard.press('Shift+Tab')
  expect(await focused()).toBe('Refuse')
  await keyboard.press('Shift+Tab')
  await keyboard.press('Enter')
  await user.answered('The notes are saved')
  expect(await focused()).toBe('message')

  await user.page.getByText('Chats').focus()
  await keyboard.press('Enter')
  await user.page.getByRole('link', { name: 'Write' }).waitFor()
  await keyboard.press('Escape')
  await user.page.getByRole('link', { name: 'Write' }).waitFor({ state: 'hidden' })
  expect(await focused()).toBe('Chats')
})

test.each([
  ['light', 1100],
  ['dark', 360],
] as const)('axe finds no fault in the %s scheme, and all fits into %i pixels', async (colorScheme, width) => {
  const viewport = { width, height: 740 }
  await using user = await ChatPage.open(browser, chat.url, { colorScheme, viewport, bypassCSP: true })
  const faults = async (): Promise<string[]> => {
    await user.page.evaluate(axe.source)
    const { violations } = await user.page.evaluate<axe.AxeResults>('axe.run()')
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`))
  }
  if (colorScheme === 'light') expect(await faults()).toEqual([])
  await user.send('Plot two waves')
  await user.answered('two damped waves')
  await user.page.getByText('Code', { exact: true }).click()
  await user.send('Write notes')
  await user.button('Approve').waitFor()
  await user.page.getByText('Chats').click()
  expect(await faults()).toEqual([])
  expect(await user.page.evaluate(() => document.documentElement.scrollWidth)).toBe(width)
  const background = await user.page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)
  expect(background).toBe(colorScheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(20, 24, 26)')
  // The control: axe does find text that is too pale.
  if (colorScheme === 'dark') return
  await user.page.addStyleTag({ content: 'small { color: #888 !important; background: #777 }' })
  expect(await faults()).toContainEqual(expect.stringContaining('color-contrast'))
})
