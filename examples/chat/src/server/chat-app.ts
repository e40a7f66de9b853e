import { serveStatic } from '@hono/node-server/serve-static'
import { type Theazo, TheazoError } from '@theazo/core'
import type { SandboxPool } from '@theazo/core/pool'
import { createUIMessageStreamResponse, type LanguageModel } from 'ai'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { csrf } from 'hono/csrf'
import { HTTPException } from 'hono/http-exception'
import { secureHeaders } from 'hono/secure-headers'
import { type AnswerRequest, answerRequest, type ChatList, type ChatSnapshot } from '../protocol.ts'
import { Answer, type AnswerOptions } from './answer.ts'
import { withDecisions } from './approvals.ts'
import { addUserMessage, type Chat, Chats } from './chats.ts'
import { fileResponse } from './file-response.ts'
import { logError } from './log-error.ts'
import { createPool, sandboxKey, usageOf } from './sandboxes.ts'
import { user, type UserEnv } from './users.ts'

export interface ChatAppOptions {
  theazo: Theazo
  model: LanguageModel
  /** For display. */
  modelName: string
  /** What the sandboxes of one user may cost in a day. */
  capCents: number
  /** The folder of the built client. */
  clientFolder: string
  /** The host names under which browsers may reach the app. Another name is a page that tries DNS rebinding. */
  hosts: readonly string[]
}

/** The chat as an HTTP application. On dispose it stops all answers and ends all sandboxes. */
export interface ChatApp extends AsyncDisposable {
  fetch: (request: Request) => Response | Promise<Response>
}

const maxBodyBytes = 64 * 1024

/** Creates the application: routes in front of the chats, the sandboxes and the model. */
export function createChatApp(options: ChatAppOptions): ChatApp {
  const pool = createPool(options.theazo, options.capCents)
  const chats = new Chats((chat) => void endChat(chat, pool))
  const app = new Hono<UserEnv>()
  app.use(knownHost(options.hosts), secureHeaders({ contentSecurityPolicy: policy }), user)
  app.use('/api/*', csrf(), bodyLimit({ maxSize: maxBodyBytes }), async (context, next) => {
    await next()
    context.header('cache-control', 'no-store')
  })
  addRoutes(app, { ...options, chats, pool })
  app.all('/api/*', (context) => context.json({ error: 'There is no such address.' }, 404))
  app.get('*', serveStatic({ root: options.clientFolder }))
  app.onError(answerError)
  return {
    fetch: (request) => app.fetch(request),
    async [Symbol.asyncDispose]() {
      await Promise.all(chats.running().map((answer) => answer.stop()))
      await pool.dispose()
    },
  }
}

const policy = {
  defaultSrc: ["'self'"],
  imgSrc: ["'self'", 'data:'],
  objectSrc: ["'none'"],
  frameAncestors: ["'none'"],
  baseUri: ["'none'"],
}

type Parts = ChatAppOptions & { chats: Chats; pool: SandboxPool }

function addRoutes(app: Hono<UserEnv>, { chats, pool, theazo, model, modelName, capCents }: Parts): void {
  const chatOf = (context: Context<UserEnv>, id = context.req.param('id') ?? ''): Chat => {
    const chat = chats.find(id, context.get('userId'))
    if (!chat) throw new HTTPException(404, { message: 'There is no such chat.' })
    return chat
  }

  app.get('/api/chats', (context) => {
    const list: ChatList = { chats: chats.titles(context.get('userId')), model: modelName }
    return context.json(list)
  })

  app.post('/api/chats', (context) => {
    const chat = chats.create(context.get('userId'))
    if (!chat) throw new HTTPException(503, { message: 'There are too many chats. Try again later.' })
    return context.json({ id: chat.id }, 201)
  })

  app.get('/api/chat/:id', (context) => {
    const { id, messages, answer } = chatOf(context)
    const isRunning = answer?.isRunning === true
    const snapshot: ChatSnapshot = isRunning
      ? { id, messages: answer.earlier, answerId: answer.id }
      : { id, messages, ...(answer?.hasFailed && { hasFailed: true }) }
    return context.json(snapshot)
  })

  // The answer does not end with this request: only the route `stop` ends it.
  app.post('/api/chat', async (context) => {
    const request = answerRequest.safeParse(await context.req.json().catch(() => undefined))
    if (!request.success) throw new HTTPException(400, { message: 'The request is not valid.' })
    const chat = chatOf(context, request.data.chatId)
    if (chat.answer?.isRunning) throw new HTTPException(409, { message: 'This chat is already being answered.' })
    const continues = prepare(chat, request.data)
    const answer = new Answer({
      id: request.data.answerId,
      messages: chat.messages,
      model,
      sandbox: pool.source(sandboxKey(chat)),
      continues,
      onEnd(messages) {
        chat.messages = messages
      },
    })
    chat.answer = answer
    return createUIMessageStreamResponse({ stream: answer.newChunks() })
  })

  app.get('/api/chat/:id/stream', (context) => {
    const { answer } = chatOf(context)
    if (!answer || answer.id !== context.req.query('answer')) return context.body(null, 204)
    return createUIMessageStreamResponse({ stream: answer.allChunks() })
  })

  app.post('/api/chat/:id/stop', async (context) => {
    await chatOf(context).answer?.stop()
    return context.body(null, 204)
  })

  app.get('/api/chat/:id/files/:path{.+}', async (context) => {
    const key = sandboxKey(chatOf(context))
    const { signal } = context.req.raw
    return await pool.use(key, (agent) => fileResponse(agent, context.req.param('path'), signal), { signal })
  })

  app.get('/api/usage', async (context) => {
    return context.json(await usageOf(theazo, context.get('userId'), capCents))
  })
}

/** Changes the chat as the user wants it, so that the model can answer its last message. */
function prepare(chat: Chat, request: AnswerRequest): AnswerOptions['continues'] {
  const last = chat.messages.at(-1)
  if (request.type === 'message') {
    if (chat.messages.some(({ id }) => id === request.messageId)) throw outdated()
    addUserMessage(chat, request.messageId, request.text)
    return undefined
  }
  if (request.type === 'retry') {
    // The half of an answer is dropped: the model begins again.
    const isHalf = last?.role === 'assistant' && chat.answer?.hasFailed === true
    if (isHalf) chat.messages = chat.messages.slice(0, -1)
    if (chat.messages.at(-1)?.role !== 'user') throw outdated()
    return undefined
  }
  const decided = last?.role === 'assistant' ? withDecisions(last, request.approvals) : undefined
  if (!decided) throw outdated()
  chat.messages = [...chat.messages.slice(0, -1), decided]
  const decisions = request.approvals.map(({ id, approved }) => {
    return { type: 'tool-approval-response', approvalId: id, approved } as const
  })
  return { answer: chat.answer, decisions }
}

/** Another tab was faster. */
function outdated(): HTTPException {
  return new HTTPException(409, { message: 'This chat has changed in another window.' })
}

async function endChat(chat: Chat, pool: SandboxPool): Promise<void> {
  await chat.answer?.stop()
  await pool.evict(sandboxKey(chat)).catch(logError)
}

function knownHost(hosts: readonly string[]) {
  return async (context: Context, next: () => Promise<void>): Promise<Response | undefined> => {
    if (!hosts.includes(new URL(context.req.url).hostname)) return context.text('Unknown host.', 421)
    await next()
    return undefined
  }
}

function answerError(error: Error, context: Context): Response {
  if (error instanceof HTTPException)
    return context.json({ error: error.message || 'The request is refused.' }, error.status)
  logError(error)
  const isCapReached = TheazoError.isInstance(error) && error.code === 'session_limit_exceeded'
  if (isCapReached) return context.json({ error: 'Your limit is reached.' }, 402)
  return context.json({ error: 'The server failed.' }, 500)
}
