import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'

const client = new Client({ name: 'my-client', version: '1.0.0' })
await client.connect(
  new StdioClientTransport({ command: process.execPath, args: ['../../packages/mcp/dist/bin.js', '--local'] }),
)
const code = 'print(sum(range(101)))'
const { content } = await client.callTool({ name: 'run_code', arguments: { language: 'python', code } })
console.log(content)
await client.close()
