// Makes the pictures of the README: `npm run screenshots`, after a build.
import { fileURLToPath } from 'node:url'
import type { BrowserContextOptions } from 'playwright-core'
import { ChatPage } from './chat-page.ts'
import { launchBrowser } from './launch-browser.ts'
import { startTestChat } from './test-chat.ts'

const docs = fileURLToPath(new URL('../../../../docs', import.meta.url))
const desk = { viewport: { width: 1000, height: 800 } }
const phone = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true }

await using chat = await startTestChat()
await using browser = await launchBrowser()

await take('chat-light', { ...desk, colorScheme: 'light' }, async (user) => {
  await user.send('Plot two waves')
  await user.answered('two damped waves')
})
await take('chat-dark', { ...desk, colorScheme: 'dark' }, async (user) => {
  await user.send('Write notes')
  await user.button('Approve').click()
  await user.answered('The notes are saved')
  await user.send('Start a long job')
  await user.inState('Python', 'running').getByRole('group', { name: 'Output' }).getByText('3 s').waitFor()
})
await take('chat-phone', { ...phone, colorScheme: 'light' }, async (user) => {
  await user.send('Count to five')
  await user.answered('5 steps')
  await user.send('Write notes')
  await user.button('Approve').waitFor()
})

async function take(
  name: string,
  options: BrowserContextOptions,
  work: (user: ChatPage) => Promise<void>,
): Promise<void> {
  await using user = await ChatPage.open(browser, chat.url, options)
  await work(user)
  await user.page.screenshot({ path: `${docs}/${name}.png` })
}
