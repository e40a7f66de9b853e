import type { ChatList, ChatSnapshot, UsageReport } from '../protocol.ts'

export const api = {
  chats: () => request<ChatList>('/api/chats'),
  createChat: () => request<{ id: string }>('/api/chats', { method: 'POST' }),
  chat: (id: string) => request<ChatSnapshot>(chatPath(id)),
  usage: () => request<UsageReport>('/api/usage'),
  async stop(id: string): Promise<void> {
    await checked(await fetch(`${chatPath(id)}/stop`, { method: 'POST' }))
  },
}

export function chatPath(id: string): string {
  return `/api/chat/${encodeURIComponent(id)}`
}

/** The path of a file as the user sees it: relative to /workspace if it is in there. */
export function workspaceName(path: string): string {
  return path.replace(/^\/workspace\//, '')
}

/** The address of a file of the chat's sandbox; undefined outside of /workspace, which the server does not send. */
export function fileUrl(chatId: string, path: string): string | undefined {
  const name = workspaceName(path)
  const names = name.split('/')
  if (name.startsWith('/') || names[0] === '~' || names.includes('..')) return undefined
  return `${chatPath(chatId)}/files/${names.map(encodeURIComponent).join('/')}`
}

/** A failed request in words for the user. */
export function failureText(error: unknown): string {
  if (error instanceof TypeError) return 'The connection to the server was lost.' // `fetch` says nothing more
  return error instanceof Error ? error.message : String(error)
}

/** @throws with the server's text for the user, if it has refused the request. */
export async function checked(response: Response): Promise<Response> {
  if (response.ok) return response
  const body = (await response.json().catch(() => ({}))) as { error?: string }
  throw new Error(body.error ?? 'The server failed.')
}

async function request<Body>(path: string, init?: RequestInit): Promise<Body> {
  const response = await checked(await fetch(path, init))
  return (await response.json()) as Body // the server's own types, in protocol.ts
}
