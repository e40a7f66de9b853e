import { z } from 'zod'
import { createDocument, type ZodOpenApiPathItemObject, type ZodOpenApiPathsObject } from 'zod-openapi'
import * as answers from './answer-schemas.ts'
import { agentEvent, execEvent } from './event-schemas.ts'
import { operation, post } from './openapi-operation.ts'
import * as requests from './schemas.ts'

const ids = {
  session: z.object({ id: z.string().meta({ example: 'ses_01HX3K2M4N5P6Q7R8S9T0V1W2X' }) }),
  agent: z.object({ id: z.string().meta({ example: 'agt_01HX3K2M4N5P6Q7R8S9T0V1W2X' }) }),
}
const task = ids.agent.extend({ taskId: z.string().meta({ example: 'task_01HX3K2M4N5P6Q7R8S9T0V1W2X' }) })

const file = ids.agent.extend({
  path: z.string().meta({ description: 'Its slashes may stand as they are, or as `%2F`.', example: 'notes.txt' }),
})

const sessions = answers.pageAnswer(answers.sessionAnswer, 'SessionPage')
const agents = answers.pageAnswer(answers.agentAnswer, 'AgentPage')

const limits = {
  maxCost: { amount: 500, currency: 'usd', period: 'month' },
  maxAgents: 3,
  maxComputeMinutes: 60,
}

/** Every path of the API, by its own name for itself; a test holds it against the routes. */
const paths: ZodOpenApiPathsObject = {
  '/sessions': {
    post: post({
      id: 'createSession',
      summary: 'Create a session',
      status: 201,
      answer: answers.sessionAnswer,
      body: requests.createSessionBody,
      example: { userId: 'user_123', limits, metadata: { plan: 'pro' } },
    }),
    get: operation({
      id: 'listSessions',
      summary: 'List sessions, newest first',
      answer: sessions,
      query: requests.listSessionsQuery,
    }),
  },
  '/sessions/by-user/{userId}': {
    post: post({
      id: 'getSessionForUser',
      summary: "The user's session; made where there is none",
      answer: answers.sessionAnswer,
      path: z.object({ userId: z.string().min(1).max(256).meta({ example: 'user_123' }) }),
      body: requests.sessionForUserBody,
      example: { limits, metadata: { plan: 'pro' } },
      isBodyOptional: true,
    }),
  },
  '/sessions/{id}': {
    get: operation({ id: 'getSession', summary: 'A session', answer: answers.sessionAnswer, path: ids.session }),
    patch: operation({
      id: 'updateSession',
      summary: 'Change limits and metadata: merged, null removes',
      answer: answers.sessionAnswer,
      path: ids.session,
      body: requests.updateSessionBody,
      example: { limits: { maxAgents: 5 }, metadata: { plan: null } },
    }),
  },
  '/sessions/{id}/terminate': {
    post: post({
      id: 'terminateSession',
      summary: 'End a session with all its agents',
      answer: answers.okAnswer,
      path: ids.session,
    }),
  },
  '/sessions/{id}/agents': {
    post: post({
      id: 'createAgent',
      summary: 'Create an agent; 200 answers the one that has the name',
      status: 201,
      alsoStatus: 200,
      answer: answers.agentAnswer,
      path: ids.session,
      body: requests.createAgentBody,
      example: { name: 'main', timeout: 300 },
      isBodyOptional: true,
    }),
    get: operation({
      id: 'listAgents',
      summary: 'List the agents of a session, newest first',
      answer: agents,
      path: ids.session,
      query: requests.listAgentsQuery,
    }),
  },
  '/sessions/{id}/usage': {
    get: operation({
      id: 'getSessionUsage',
      summary: 'What a session has used in its whole life, as the official TypeScript SDK reads it',
      answer: answers.sessionUsageAnswer,
      path: ids.session,
    }),
  },
  '/agents/{id}': {
    get: operation({
      id: 'getAgent',
      summary: 'An agent, with its latest task',
      answer: answers.agentAnswer,
      path: ids.agent,
    }),
  },
  '/agents/{id}/status': {
    get: operation({
      id: 'getAgentStatus',
      summary: 'How an agent does, as the official TypeScript SDK reads it',
      answer: answers.agentStatusAnswer,
      path: ids.agent,
    }),
  },
  '/agents/{id}/files': {
    get: operation({
      id: 'listFiles',
      summary: 'What is in a folder of the agent, as the official TypeScript SDK reads it',
      answer: answers.fileListAnswer,
      path: ids.agent,
      query: requests.listFilesQuery,
    }),
    post: post({
      id: 'writeFile',
      summary: 'Write a whole file, as the official TypeScript SDK does',
      answer: answers.okAnswer,
      path: ids.agent,
      body: requests.writeFileBody,
      example: { path: 'notes.txt', data: 'Some text.', encoding: 'utf-8' },
    }),
  },
  '/agents/{id}/files/{path}': {
    get: operation({
      id: 'readFile',
      summary: 'A whole file, as the official TypeScript SDK reads it',
      answer: answers.fileContentAnswer,
      path: file,
    }),
  },
  '/agents/{id}/exec': {
    post: post({
      id: 'exec',
      summary: 'Run code in the sandbox and wait for its end, or read its output as it comes',
      answer: answers.execAnswer,
      events: execEvent,
      path: ids.agent,
      body: requests.execBody,
      example: { lang: 'python', code: 'print(2 + 2)', timeoutMs: 10_000 },
    }),
  },
  '/agents/{id}/run': {
    post: post({
      id: 'runTask',
      summary: 'Give the agent a task; it goes on in the background',
      status: 202,
      answer: answers.runAnswer,
      path: ids.agent,
      body: requests.runBody,
      example: { task: 'Plot the first 20 primes.' },
    }),
  },
  '/agents/{id}/stream': {
    get: operation({
      id: 'streamAgentEvents',
      summary: 'What the agent does, as server-sent events',
      answer: agentEvent,
      events: agentEvent,
      path: ids.agent,
      query: requests.streamQuery,
      header: z.object({ 'last-event-id': requests.eventId.optional() }),
    }),
  },
  '/agents/{id}/tasks/{taskId}': {
    get: operation({ id: 'getTask', summary: 'A task', answer: answers.taskAnswer, path: task }),
  },
  '/agents/{id}/tasks/{taskId}/cancel': {
    post: post({ id: 'cancelTask', summary: 'End a task', answer: answers.okAnswer, path: task }),
  },
  '/agents/{id}/pause': {
    post: post({ id: 'pauseAgent', summary: 'Suspend an agent', answer: answers.agentAnswer, path: ids.agent }),
  },
  '/agents/{id}/resume': {
    post: post({ id: 'resumeAgent', summary: 'Let it go on', answer: answers.agentAnswer, path: ids.agent }),
  },
  '/agents/{id}/terminate': {
    post: post({
      id: 'terminateAgent',
      summary: 'End an agent; its files are gone',
      answer: answers.okAnswer,
      path: ids.agent,
    }),
  },
  '/usage/summary': {
    get: operation({
      id: 'getUsageSummary',
      summary: 'What was used, and what it costs',
      answer: answers.usageAnswer,
      query: requests.usageQuery,
    }),
  },
}

/** The OpenAPI 3.1 document of this server. */
export function openApiDocument(): object {
  return createDocument({
    openapi: '3.1.1',
    info: {
      title: 'Theazo API',
      version: '1',
      description: 'Sandboxes per end user: sessions, agents, code, tasks, usage and caps.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/v1' }],
    security: [{ key: [] }],
    components: { securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'th_live_… or th_test_…' } } },
    paths: Object.fromEntries(Object.entries(paths).map(([path, operations]) => [path, tagged(path, operations)])),
  })
}

/** Groups the operations on the page by what they are about. */
function tagged(path: string, operations: ZodOpenApiPathItemObject): ZodOpenApiPathItemObject {
  const tag = path.startsWith('/usage') ? 'Usage' : path.includes('agents') ? 'Agents' : 'Sessions'
  return Object.fromEntries(
    Object.entries(operations).map(([method, operation]) => [method, { ...operation, tags: [tag] }]),
  )
}
