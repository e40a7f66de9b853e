// The unchanged SDK of the hosted service (test/fixture/official-sdk) against a `theazo-server` process.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { root, type ServerProcess, startServer } from '../support/server-process.ts'

const fixture = join(root, 'test/fixture/official-sdk')
const sdk = join(fixture, 'packages/theazo/src/index.ts')

let folder: string
let server: ServerProcess
let origin: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'theazo-sdk-'))
  const bin = join(root, 'packages/server/dist/bin.js')
  server = await startServer(process.execPath, [bin, 'serve', '--port', '0', '--json'])
  origin = new URL(server.url).origin
})
afterAll(async () => {
  await server?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

/** Node cannot run the SDK's TypeScript, so a bundler compiles it and resolves the import `theazo`. */
async function bundled(source: string, name: string): Promise<string> {
  const outfile = join(folder, name)
  await build({ entryPoints: [source], outfile, bundle: true, platform: 'node', format: 'esm', alias: { theazo: sdk } })
  return outfile
}

test('the example infra-only prints the expected output', async () => {
  const program = await bundled(join(fixture, 'examples/infra-only/index.ts'), 'infra-only.mjs')
  const redirect = pathToFileURL(join(fixture, 'local-server.mjs')).href
  const child = spawn(process.execPath, ['--import', redirect, program], {
    env: { PATH: process.env['PATH'], THEAZO_API_KEY: server.apiKey, THEAZO_LOCAL_ORIGIN: origin },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { out: '', err: '' }
  child.stdout.on('data', (chunk) => (output.out += chunk))
  child.stderr.on('data', (chunk) => (output.err += chunk))
  const [code] = await once(child, 'close')

  // The example exits with 0 even if it fails, and prints the error.
  expect([code, output.err]).toEqual([0, ''])
  const primes = '2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97'
  expect(output.out.replace(/computeMinutes: [\d.e-]+/, 'computeMinutes: N').replace(/amount: \d/, 'amount: N')).toBe(
    [
      `Sandbox: ${/agt_[0-9A-HJKMNP-TV-Z]{26}/.exec(output.out)?.[0]}`,
      `stdout: {"primes": [${primes}], "count": 25}`,
      '',
      'exit code: 0',
      "Files: [ 'results.txt' ]",
      'Cost: {',
      "  cost: { amount: N, currency: 'usd' },",
      '  computeMinutes: N,',
      '  activeAgents: 1,',
      '  totalAgentsCreated: 1',
      '}',
      '',
    ].join('\n'),
  )
})

describe('the SDK', () => {
  // This test does not check the SDK's types.
  // oxlint-disable-next-line typescript/no-explicit-any
  let session: any
  beforeAll(async () => {
    const { Theazo } = await import(pathToFileURL(await bundled(sdk, 'theazo.mjs')).href)
    session = await new Theazo({ apiKey: server.apiKey, baseUrl: origin }).sessions.forUser('sdk_user')
  })

  test('writes files that code can read, and reads files that code has written', async () => {
    const agent = await session.agents.create({ compute: 'python' })
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, n) => n))
    await agent.files.write('/in/text.txt', 'Grüße 🙂\n')
    await agent.files.write('in/all.bin', bytes)
    const code = [
      "data = open('in/all.bin', 'rb').read()",
      "open('out.bin', 'wb').write(data[::-1])",
      "print(open('in/text.txt', encoding='utf-8').read(), len(data), data == bytes(range(256)))",
    ]
    expect(await agent.exec('python', code.join('\n'))).toMatchObject({ stdout: 'Grüße 🙂\n 256 True\n', exitCode: 0 })
    expect(await agent.files.read('out.bin')).toEqual(Buffer.from(bytes.toReversed()))
    expect((await agent.files.read('/in/text.txt')).toString()).toBe('Grüße 🙂\n')
    expect(await agent.files.list('in')).toEqual([
      { name: 'all.bin', size: 256, modified: expect.stringMatching(/^20\d\d-.*Z$/) },
      { name: 'text.txt', size: 13, modified: expect.any(String) },
    ])
  })

  test('gets an error for a missing folder and for a runtime that a sandbox does not have', async () => {
    const agent = await session.agents.create({ compute: 'node' })
    expect(await agent.exec('typescript', 'console.log(2 + 2)')).toMatchObject({ stdout: '4\n' })
    await expect(agent.files.list()).rejects.toMatchObject({ status: 404, code: 'not_found' }) // the SDK lists /data by default
    await expect(agent.files.read('none.txt')).rejects.toMatchObject({ status: 404, code: 'not_found' })
    await agent.files.write('/data/made.txt', '')
    expect((await agent.files.list()).map(({ name }: { name: string }) => name)).toEqual(['made.txt'])
    await expect(session.agents.create({ compute: 'go' })).rejects.toMatchObject({
      status: 422,
      message: "compute: must be an object, 'python' or 'node': every sandbox has both; Go is not available",
    })
  })

  test("reads a session's usage, whatever the status of its agents", async () => {
    const { totalAgentsCreated, activeAgents } = await session.usage()
    const agent = await session.agents.create({})
    await agent.terminate()
    expect(await session.usage()).toEqual({
      cost: { amount: expect.any(Number), currency: 'usd' },
      computeMinutes: expect.any(Number),
      activeAgents,
      totalAgentsCreated: totalAgentsCreated + 1,
    })
  })
})
