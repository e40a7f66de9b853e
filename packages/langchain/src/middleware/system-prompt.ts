/**
 * The paragraph about the computer for the system prompt of an agent.
 *
 * @param tools the tools of the agent, by the names that the model sees.
 */
export function systemPrompt(tools: readonly { name: string }[]): string {
  const names = tools.map(({ name }) => name).join(', ')
  return (
    `You have a Linux computer of your own: an isolated sandbox. Your tools for it: ${names}. ` +
    'Files in /workspace persist between calls; variables and processes do not. ' +
    'Run code instead of guessing results, and look at the output before you answer. ' +
    'If a tool reports that a limit is reached, stop and tell the user.'
  )
}
