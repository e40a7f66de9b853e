import { getUsage, type GetUsageData, type ToolResult, type ToolSandbox, type ToolSource } from '@theazo/core/tools'

/** The usage of the user's session. It creates no sandbox. */
export async function sessionUsage(
  account: ToolSource['account'],
  signal: AbortSignal,
): Promise<ToolResult<GetUsageData>> {
  return await getUsage.run({}, { sandbox: noSandbox, account, signal })
}

/** The tool uses no sandbox, but its options require one. */
const noSandbox: ToolSandbox = { id: '', exec: () => Promise.reject(new Error('not used')) }
