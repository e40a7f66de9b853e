import type { ModelRequest } from '../model.ts'

const computer = [
  'You work on a Linux computer of your own, with your tools. The task comes from a user.',
  'Files in /workspace stay between your tool calls and between tasks; variables and running processes do not.',
  'Check your work before you answer: run the code, read the file. If a call fails, read its error and change something before you try again.',
]

/** For tools that work elsewhere. */
const onlyTools = [
  'You work with your tools. The task comes from a user.',
  'Check your work before you answer. If a call fails, read its error and change something before you try again.',
]

const answering = [
  'Nobody answers questions while you work. If something is unclear, choose the most likely meaning and say so in your answer.',
  'Your last message, without a tool call, is the answer that the user reads. It must stand alone: the user does not see the outputs of your tools.',
]

const noTools = 'You have no tools. Your message is the answer that the user reads.'

/** The system prompt: a short text about the computer and the tools, and the instructions of the agent. */
export function systemPrompt({
  instructions,
  tools,
  missingServers,
}: Pick<ModelRequest, 'instructions' | 'tools' | 'missingServers'>): string {
  const parts = [aboutTools(tools), missingServers.length > 0 ? missingText(missingServers) : '', instructions ?? '']
  return parts.filter((part) => part !== '').join('\n\n')
}

function aboutTools(tools: ModelRequest['tools']): string {
  if (tools.length === 0) return noTools
  const place = tools.some(({ usesSandbox }) => usesSandbox) ? computer : onlyTools
  return [...place, ...answering].join('\n')
}

function missingText(servers: readonly string[]): string {
  return `You do not have the tools of ${servers.join(', ')}: the server of these tools does not answer. If the task needs them, say so in your answer.`
}
