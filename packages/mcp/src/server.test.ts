import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js'
import { Theazo } from '@theazo/core'
import { createLocalTheazo } from '@theazo/server'
import { expect, test } from 'vitest'
import { createTheazoMcpServer } from './server.ts'

test('a picture that the code saved comes as a picture, once', async () => {
  const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
  const files = [{ path: '/workspace/dot.png', sizeBytes: 70 }]
  await using local = await createLocalTheazo()
  const session = await new Theazo(local).sessions.forUser('mcp')
  await using agent = await session.agents.create()
  const server = createTheazoMcpServer({
    sandbox: {
      id: agent.id,
      exec: async (lang, code, options) => ({ ...(await agent.exec(lang, code, options)), files }),
    },
  })
  const [clientSide, serverSide] = InMemoryTransport.createLinkedPair()
  const client = new Client({ name: 'test', version: '0' })
  await Promise.all([server.connect(serverSide), client.connect(clientSide)])
  const code = `import base64; open('dot.png', 'wb').write(base64.b64decode('${png}'))`
  const result = await client.callTool({ name: 'run_code', arguments: { language: 'python', code } })
  expect(result.content).toEqual([
    { type: 'text', text: '[files made or changed: /workspace/dot.png (70 bytes)]' },
    { type: 'image', mimeType: 'image/png', data: png },
  ])
  expect(result.structuredContent).toMatchObject({ exitCode: 0, files })
  expect(JSON.stringify(result.structuredContent)).not.toContain(png)
  await client.close()
})
