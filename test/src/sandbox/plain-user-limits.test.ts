// A server of a plain user has no control groups or own disks: a watcher enforces the limits of memory and disk.
import { mkdtempSync, rmSync, chmodSync } from 'node:fs'
import { join } from 'node:path'
import { Theazo, type Agent } from '@theazo/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { userOf } from '../support/each-server.ts'
import { type ServerProcess, startServer } from '../support/server-process.ts'

describe('as a plain user', () => {
  let home: string
  let uid: number
  let server: ServerProcess
  let agent: Agent
  beforeAll(async () => {
    home = mkdtempSync('/tmp/theazo-plain-')
    chmodSync(home, 0o700)
    const user = userOf(false, home)
    ;({ uid } = user)
    const limits = ['--memory-mb', '192', '--disk-mb', '32']
    const serve = [join(user.packages, 'server/dist/bin.js'), 'serve', '--port', '0', '--json', ...limits]
    const [program = '', ...args] = [...user.prefix, user.node, ...serve]
    server = await startServer(program, args, { HOME: home, TMPDIR: home })
    const theazo = new Theazo({ baseUrl: server.url, apiKey: server.apiKey })
    agent = await (await theazo.sessions.forUser('plain')).agents.create()
  })
  afterAll(async () => {
    await server[Symbol.asyncDispose]()
    rmSync(home, { recursive: true })
  })

  test('the server is not root (control)', async () => {
    expect(uid).not.toBe(0)
    const { stdout } = await agent.exec('bash', 'id -u')
    expect(stdout).toBe(`${uid}\n`)
  })

  test.each([
    ['python', 'blocks = []\nwhile True: blocks.append(bytearray(8 * 1024 * 1024)); __import__("time").sleep(0.02)'],
    ['typescript', 'const blocks: Buffer[] = []\nsetInterval(() => blocks.push(Buffer.alloc(8 * 1024 * 1024, 1)), 20)'],
  ] as const)('%s code that uses too much memory is killed, and its output gives the reason', async (lang, code) => {
    const { exitCode, stderr } = await agent.exec(lang, code)
    expect(exitCode).toBe(137)
    expect(stderr).toMatch(/ran out of memory \(limit 192 MiB\)/)
    expect(await agent.exec(lang, lang === 'python' ? 'print(1)' : 'console.log(1)')).toMatchObject({
      stdout: '1\n',
      stderr: '',
    })
  })

  test('code that fills the disk is killed, and its output gives the reason; code that frees space may run', async () => {
    const { exitCode, stderr } = await agent.exec('bash', 'while :; do head -c 8M /dev/zero >> big; sleep 0.1; done')
    expect(exitCode).toBe(137)
    expect(stderr).toMatch(/has filled its disk \(limit 32 MiB\)/)
    expect(await agent.exec('bash', 'rm big; echo room > big; cat big')).toMatchObject({
      stdout: 'room\n',
      exitCode: 0,
    })
  })

  test('processes and open files are bounded by the sandbox', async () => {
    expect((await agent.exec('bash', 'ulimit -Hu; ulimit -Hn')).stdout).toBe('512\n4096\n')
  })
})
