import { createHash } from 'node:crypto'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js'
import { ProgressNotificationSchema } from '@modelcontextprotocol/sdk/types.js'
import { Theazo } from '@theazo/core'
import { SandboxPool } from '@theazo/core/pool'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fileUri } from './file-uri.ts'
import { createTheazoMcpServer, type TheazoMcpServerOptions } from './server.ts'
import { agentIdOf, testClient, type TestClient, textOf } from './testing/mcp-process.ts'

let local: LocalTheazo
let theazo: Theazo
beforeAll(async () => {
  local = await createLocalTheazo()
  theazo = new Theazo(local)
})
afterAll(async () => await local[Symbol.asyncDispose]())

/** Connects a client to an MCP server in this process. Disposing the client ends the sandbox. */
async function connect(options: Partial<TheazoMcpServerOptions> = {}): Promise<TestClient> {
  const pool = new SandboxPool(theazo)
  const server = createTheazoMcpServer({ userId: 'in-process', client: theazo, pool, ...options })
  const [clientSide, serverSide] = InMemoryTransport.createLinkedPair()
  const client = new Client({ name: 'test', version: '0' })
  await Promise.all([server.connect(serverSide), client.connect(clientSide)])
  return {
    ...(await testClient(client)),
    async [Symbol.asyncDispose]() {
      await client.close()
      await pool.dispose()
    },
  }
}

/** Python that saves a PNG of random pixels, which does not compress: three bytes per pixel. */
const saveNoisePng = (path: string, side: number) => `
import os, struct, zlib
def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
rows = b''.join(b'\\0' + os.urandom(3 * ${side}) for _ in range(${side}))
open('${path}', 'wb').write(b'\\x89PNG\\r\\n\\x1a\\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', ${side}, ${side}, 8, 2, 0, 0, 0))
    + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b''))
`

describe('tools', () => {
  test('by default the tools for code and files are listed, with plain schemas and hints', async () => {
    await using mcp = await connect()
    const { tools } = await mcp.client.listTools()
    expect(tools.map(({ name }) => name)).toEqual([
      'run_code',
      'read_file',
      'write_file',
      'edit_file',
      'list_files',
      'delete_file',
    ])
    expect(tools[0]).toMatchObject({
      title: 'Run code',
      inputSchema: { type: 'object', required: ['language', 'code'], additionalProperties: false },
      outputSchema: { type: 'object', additionalProperties: {} },
      annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: false },
    })
    expect(tools[0]?.inputSchema.properties?.['timeoutSeconds']).toMatchObject({ type: 'integer' })
    expect(tools.filter(({ outputSchema }) => outputSchema?.properties?.['images'])).toEqual([])
  })

  test('groups, only and readOnly select other tools', async () => {
    const namesOf = async (options: Partial<TheazoMcpServerOptions>) => {
      await using mcp = await connect(options)
      return (await mcp.client.listTools()).tools.map(({ name }) => name)
    }
    expect(await namesOf({ groups: 'all' })).toHaveLength(17)
    expect(await namesOf({ readOnly: true })).toEqual(['read_file', 'list_files'])
    expect(await namesOf({ only: ['get_usage'] })).toEqual(['get_usage'])
    await expect(namesOf({ groups: ['code'], readOnly: true })).rejects.toThrow('leave no tool to offer')
  })

  test('an unknown tool name is an error that lists the tools', async () => {
    await using mcp = await connect({ groups: ['code'] })
    const result = await mcp.call('run_python', { code: '1' })
    expect(result).toEqual({
      isError: true,
      content: [{ type: 'text', text: "There is no tool 'run_python'. Valid: run_code." }],
    })
  })

  test('input is parsed leniently, and invalid input is an error that names the field and its valid values', async () => {
    await using mcp = await connect()
    for (const timeoutSeconds of ['30', null, 300]) {
      const result = await mcp.call('run_code', { language: 'py', code: 'print(2 + 2)', timeoutSeconds })
      expect([timeoutSeconds, result.isError, textOf(result)]).toEqual([timeoutSeconds, undefined, '4'])
    }
    const wrong = await mcp.call('run_code', { language: 'ruby', code: 'puts 1' })
    expect(wrong.isError).toBe(true)
    expect(textOf(wrong)).toMatch(/did not run.*language must be 'python' or 'typescript' or 'bash'/)
  })

  test('a failing program is a normal result with its exit code in the text and in the data', async () => {
    await using mcp = await connect()
    const failed = await mcp.call('run_code', { language: 'bash', code: 'echo no >&2; exit 3' })
    expect(failed.isError).toBeFalsy()
    expect(failed.content).toEqual([{ type: 'text', text: '[stderr]\nno\n[exit code 3]' }])
    expect(failed.structuredContent).toMatchObject({ stderr: 'no\n', exitCode: 3 })
  })

  test('an agent function that throws is an error of that call, and the next call works', async () => {
    let isBroken = true
    const session = await theazo.sessions.forUser('broken')
    await using agent = await session.agents.create()
    const getAgent = async () => {
      if (isBroken) throw new Error('the database is down')
      return agent
    }
    await using mcp = await connect({ userId: undefined, client: undefined, pool: undefined, agent: getAgent })
    expect(await mcp.call('run_code', { language: 'bash', code: 'true' })).toEqual({
      isError: true,
      content: [{ type: 'text', text: 'run_code failed: the database is down' }],
    })
    isBroken = false
    expect(await mcp.bash('echo fine')).toBe('fine')
  })

  test('if the client cancels a call, its code is killed', async () => {
    await using mcp = await connect()
    const cancel = new AbortController()
    const input = { language: 'bash', code: 'echo started; sleep 59; touch done' }
    const options = { signal: cancel.signal, onprogress: () => cancel.abort(new Error('not wanted')) }
    await expect(mcp.call('run_code', input, options)).rejects.toThrow('not wanted')
    await expect.poll(() => mcp.bash('pgrep -x sleep || ls')).toBe('(no output)')
  })
})

describe('progress', () => {
  test('output arrives while the code runs, and the progress value grows', async () => {
    await using mcp = await connect()
    const seen: { progress: number; message?: string | undefined }[] = []
    const code = 'for n in 1 2 3 4 5 6; do echo line $n; sleep 0.15; done'
    await mcp.call('run_code', { language: 'bash', code }, { onprogress: (progress) => seen.push(progress) })
    expect(seen.length).toBeGreaterThan(2)
    expect(seen.map(({ progress }) => progress)).toEqual(seen.map((_, index) => index + 1))
    expect(seen[0]?.message).toBe('line 1')
    expect(seen.at(-1)?.message).toBe([1, 2, 3, 4, 5, 6].map((n) => `line ${n}`).join('\n'))
  })

  test('a client that did not request progress receives none', async () => {
    await using mcp = await connect()
    const seen: unknown[] = []
    mcp.client.setNotificationHandler(ProgressNotificationSchema, (notification) => void seen.push(notification))
    expect(await mcp.bash('echo hello')).toBe('hello')
    expect(seen).toEqual([])
  })
})

describe('images', () => {
  test('an image that the code saved is sent as an image, once', async () => {
    await using mcp = await connect()
    const result = await mcp.call('run_code', { language: 'python', code: saveNoisePng('dot.png', 2) })
    expect(result.content).toMatchObject([
      { type: 'text', text: expect.stringMatching(/^\[files made or changed: \/workspace\/dot.png/) },
      { type: 'image', mimeType: 'image/png', data: expect.stringMatching(/^iVBORw0KGgo/) },
    ])
    expect(result.structuredContent).toMatchObject({ exitCode: 0, files: [{ path: '/workspace/dot.png' }] })
    expect(JSON.stringify(result.structuredContent)).not.toContain('iVBORw0KGgo')
  })

  test('with images switched off, the text names the image', async () => {
    await using mcp = await connect({ images: false })
    const result = await mcp.call('run_code', { language: 'python', code: saveNoisePng('dot.png', 2) })
    expect(result.content).toHaveLength(1)
    expect(textOf(result)).toContain('[image not shown: /workspace/dot.png: images are switched off here]')
  })

  test('an image that is too large for a result is linked and named, and the link returns its exact bytes', async () => {
    await using mcp = await connect()
    const code = `${saveNoisePng('large.png', 700)}${saveNoisePng('small.png', 20)}`
    const result = await mcp.call('run_code', { language: 'python', code })
    expect(JSON.stringify(result).length).toBeLessThan(1_000_000)
    const [text, link, image] = result.content
    expect(image).toMatchObject({ type: 'image', mimeType: 'image/png' })
    const agentId = agentIdOf(result)
    if (link?.type !== 'resource_link') throw new Error(`not a link: ${JSON.stringify(link)}`)
    expect(link).toMatchObject({
      uri: `theazo://agents/${agentId}/files/workspace/large.png`,
      name: 'large.png',
      mimeType: 'image/png',
    })
    expect(text).toMatchObject({ text: expect.stringContaining('[image linked, not shown: /workspace/large.png has') })

    const { contents } = await mcp.client.readResource({ uri: link.uri })
    const [content] = contents
    if (!content || !('blob' in content)) throw new Error('not a blob')
    const bytes = Buffer.from(content.blob, 'base64')
    expect([content.uri, content.mimeType, bytes.length]).toEqual([link.uri, 'image/png', link.size])
    expect(await mcp.bash('sha256sum < large.png')).toContain(createHash('sha256').update(bytes).digest('hex'))
  })

  test('a large image of read_file is linked too', async () => {
    await using mcp = await connect()
    await mcp.call('run_code', { language: 'python', code: saveNoisePng('/home/agent/a b.png', 700) })
    const result = await mcp.call('read_file', { path: '~/a b.png' })
    const [, link] = result.content
    if (link?.type !== 'resource_link') throw new Error(`not a link: ${JSON.stringify(link)}`)
    expect(link.uri).toMatch(/\/files\/home\/agent\/a%20b.png$/)
    const { contents } = await mcp.client.readResource({ uri: link.uri })
    expect(contents).toMatchObject([{ mimeType: 'image/png' }])
  })
})

describe('size', () => {
  test('a result with control characters and long names stays below 1,000,000 bytes and passes its schema', async () => {
    await using mcp = await connect()
    const code = `
import os, sys
folder = '/workspace/' + '/'.join(['\\x01' * 250] * 14)
os.makedirs(folder)
os.chdir(folder)
for n in range(100):
    open('\\x02' * 240 + str(n), 'w').write('x')
sys.stdout.write('\\x03' * 30000)
sys.stderr.write('\\x04' * 30000)
print('end', file=sys.stderr)
sys.exit(7)
`
    const result = await mcp.call('run_code', { language: 'python', code })
    expect(Buffer.byteLength(JSON.stringify(result))).toBeLessThan(1_000_000)
    expect(result.structuredContent).toMatchObject({ exitCode: 7, filesTruncated: true })
    expect(textOf(result)).toMatch(/\[exit code 7\]$/)
  })
})

describe('files as resources', () => {
  test('a file with any name is read by its URI: text as text, other bytes as base64', async () => {
    await using mcp = await connect()
    const { resourceTemplates } = await mcp.client.listResourceTemplates()
    expect(resourceTemplates).toMatchObject([{ uriTemplate: 'theazo://agents/{agentId}/files/{+path}' }])
    const agentId = agentIdOf(await mcp.call('run_code', { language: 'bash', code: "printf 'a\\0b' > data" }))
    for (const path of ['/workspace/a b/100%.txt', '/workspace/ü/#1?x=%41&y.txt', '/tmp/日本\n語.md']) {
      const written = await mcp.call('write_file', { path, content: `in ${path}` })
      expect(written.isError).toBeFalsy()
      const { contents } = await mcp.client.readResource({ uri: fileUri({ agentId, path }) })
      expect(contents).toMatchObject([{ text: `in ${path}`, mimeType: expect.stringMatching(/^text\//) }])
    }
    const { contents } = await mcp.client.readResource({ uri: fileUri({ agentId, path: 'data' }) })
    expect(contents).toMatchObject([{ blob: 'YQBi', mimeType: 'application/octet-stream' }])
  })

  test('text of control characters is sent as base64, which is shorter', async () => {
    await using mcp = await connect()
    const code = "import sys; open('bell', 'w').write('\\x07' * 2_000_000)"
    const agentId = agentIdOf(await mcp.call('run_code', { language: 'python', code }))
    const { contents } = await mcp.client.readResource({ uri: fileUri({ agentId, path: 'bell' }) })
    expect(contents).toMatchObject([{ blob: expect.stringMatching(/^BwcHBwcH/) }])
  })

  test('only files of agents whose ids the client has received can be read; the error names the valid ids', async () => {
    const session = await theazo.sessions.forUser('in-process')
    await using other = await session.agents.create()
    await other.files.write('/workspace/secret', 'not for you')
    await using mcp = await connect()
    const uri = fileUri({ agentId: other.id, path: '/workspace/secret' })
    await expect(mcp.client.readResource({ uri })).rejects.toThrow(`${other.id} is not an agent of this server`)
    const agentId = agentIdOf(await mcp.call('run_code', { language: 'bash', code: 'true' }))
    await expect(mcp.client.readResource({ uri })).rejects.toThrow(`Valid: ${agentId}.`)
  })

  test('the error for an agent that is gone names the current agent', async () => {
    await using mcp = await connect()
    const before = agentIdOf(await mcp.call('run_code', { language: 'bash', code: 'echo 1 > one' }))
    await theazo.agent(before).terminate()
    const read = mcp.client.readResource({ uri: fileUri({ agentId: before, path: 'one' }) })
    await expect(read).rejects.toThrow(new RegExp(`${before} is gone.*The current agent is agt_`))
  })

  test('a missing file, a file that is too large and a URI outside the sandbox are errors that state the reason', async () => {
    await using mcp = await connect()
    const code = 'truncate -s 4000000 most; truncate -s 4000001 large'
    const agentId = agentIdOf(await mcp.call('run_code', { language: 'bash', code }))
    const read = (path: string) => mcp.client.readResource({ uri: fileUri({ agentId, path }) })
    expect((await read('most')).contents).toHaveLength(1)
    await expect(read('large')).rejects.toThrow(/has 4000001 bytes; the limit is 4000000.*run_code/)
    await expect(read('none')).rejects.toThrow(/none/)
    await expect(mcp.client.readResource({ uri: 'file:///etc/passwd' })).rejects.toThrow(
      'not a resource of this server',
    )
  })
})
