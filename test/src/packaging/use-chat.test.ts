// The route and the page that packages/ai-sdk/README.md shows are a chat: in a browser, with a real sandbox.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Theazo } from '@theazo/core'
import { listenTheazo } from '@theazo/server'
import { build } from 'esbuild'
import { beforeAll, expect, test } from 'vitest'
import { launchBrowser } from '../../../examples/chat/src/testing/launch-browser.ts'
import { startModelServer } from '../support/model-server.ts'
import { installPackedPackages } from '../support/packed-packages.ts'
import { blocksOf } from './readme-blocks.ts'

let packed: string
beforeAll(async () => {
  packed = await installPackedPackages()
}, 240_000)

const entry = `import { createRoot } from 'react-dom/client'
import { Chat } from './chat.tsx'
createRoot(document.querySelector('main')!).render(<Chat />)
`

const program = `import { readFileSync } from 'node:fs'
import { serve } from '@hono/node-server'
import { POST } from './route.ts'

const page = '<!doctype html><title>chat</title><main></main><script src="/page.js"></script>'
function fetch(request) {
  if (request.method === 'POST') return POST(request)
  const isScript = request.url.endsWith('.js')
  const type = isScript ? 'text/javascript' : 'text/html'
  return new Response(isScript ? readFileSync('page.js') : page, { headers: { 'content-type': type } })
}
serve({ fetch, hostname: '127.0.0.1', port: 0 }, ({ port }) => console.log('http://127.0.0.1:' + port))
`

const slowly =
  'import os, time\nopen("a.txt", "w")\nprint("pid", os.getpid(), flush=True)\ntime.sleep(TIME)\nprint("end")'
const python = (seconds: number) => {
  return { name: 'run_code', input: { language: 'python', code: slowly.replace('TIME', String(seconds)) } }
}

test("the README's page shows output live, asks for approval, and stops the code", async () => {
  await using theazo = await listenTheazo({ port: 0 })
  await using models = await startModelServer((conversation) => {
    if (conversation.includes('forever')) return [python(0), python(600)].slice(-2)
    return conversation.includes('Delete it') ? [python(1), { name: 'delete_file', input: { path: 'a.txt' } }] : []
  })
  await using app = await startReadmeChat({
    THEAZO_BASE_URL: theazo.url,
    THEAZO_API_KEY: theazo.apiKey,
    ANTHROPIC_API_KEY: 'sk-ant-of-the-test',
    ANTHROPIC_BASE_URL: models.url,
    APPROVAL_SECRET: 'of-the-test',
  })
  await using browser = await launchBrowser()
  const session = await new Theazo({ baseUrl: theazo.url, apiKey: theazo.apiKey }).sessions.forUser('user_123')
  const open = async (text: string) => {
    const page = await browser.newPage()
    page.setDefaultTimeout(15_000)
    await page.goto(app.url)
    await page.getByRole('textbox').fill(text)
    await page.keyboard.press('Enter')
    return page
  }

  const page = await open('Delete it')
  await page.getByText(/^pid \d+\s*$/).waitFor() // `end` is still missing
  await page.getByText(/\bend\s*$/).waitFor() // not the button Send
  const [agent] = (await session.agents.list().page()).data
  await page.getByText('Delete a.txt?').waitFor()
  expect(await agent?.files.exists('a.txt')).toBe(true)
  await page.getByRole('button', { name: 'Yes' }).click()
  await page.getByText('{}').waitFor() // the last answer of these models
  expect(await agent?.files.exists('a.txt')).toBe(false)

  const stopped = await open('Run forever')
  await stopped.getByText(/\bend\s*$/).waitFor()
  const printed = stopped.getByText(/^pid \d+\s*$/)
  await printed.waitFor()
  const isAlive = async () => (await agent?.exec('bash', `kill -0 ${(await printed.innerText()).slice(4)}`))?.exitCode
  expect(await isAlive()).toBe(0)
  await stopped.getByRole('button', { name: 'Stop' }).click()
  await expect.poll(isAlive).toBe(1)
})

/** Builds the page as a bundler would, and serves it with the route, from a folder with the packed packages. */
async function startReadmeChat(env: Record<string, string>): Promise<{ url: string } & AsyncDisposable> {
  const folder = join(packed, 'use-chat')
  mkdirSync(folder, { recursive: true })
  const blocks = blocksOf('packages/ai-sdk/README.md')
  const route = blocks.find(({ kind, text }) => kind === 'program' && text.includes('function POST'))?.text ?? ''
  const component = blocks.find(({ kind }) => kind === 'component')?.text ?? ''
  const files = { 'route.ts': route, 'chat.tsx': component, 'page.tsx': entry, 'serve.mjs': program }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  const define = { 'process.env.NODE_ENV': '"production"' }
  const entryPoints = [join(folder, 'page.tsx')]
  await build({ entryPoints, bundle: true, outdir: folder, jsx: 'automatic', define, logLevel: 'error' })
  const stdio: ['ignore', 'pipe', 'inherit'] = ['ignore', 'pipe', 'inherit']
  const child = spawn(process.execPath, ['serve.mjs'], {
    cwd: folder,
    env: { PATH: process.env['PATH'], ...env },
    stdio,
  })
  const closed = once(child, 'close')
  // The route answers one question when it is loaded, and prints that answer first.
  for await (const line of createInterface(child.stdout)) {
    if (!line.startsWith('http')) continue
    return {
      url: line,
      async [Symbol.asyncDispose]() {
        child.kill()
        await closed
      },
    }
  }
  throw new Error('the route has ended')
}
