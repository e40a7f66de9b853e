import { z } from 'zod'
import { createDocument, type ZodOpenApiPathItemObject, type ZodOpenApiPathsObject } from 'zod-openapi'
import * as answers from './answer-schemas.ts'
import { agentEvent, execEvent } from './event-schemas.ts'
import { operation, post } from './openapi-operation.ts'
import * as requests from './schemas.ts'
import { resumeBody, runBody } from './task-schemas.ts'

const ids = {
  session: z.object({ id: z.string().meta({ example: 'ses_01HX3K2M4N5P6Q7R8S9T0V1W2X' }) }),
  agent: z.object({ id: z.string().meta({ example: 'agt_01HX3K2M4N5P6Q7R8S9T0V1W2X' }) }),
}
const task = ids.agent.extend({ taskId: z.string().meta({ example: 'task_01HX3K2M4N5P6Q7R8S9T0V1W2X' }) })

const file = ids.agent.extend({
  path: z.string().meta({ description: 'Slashes may be written as `/` or `%2F`.', example: 'notes.txt' }),
})

const sessions = answers.pageAnswer(answers.sessionAnswer, 'SessionPage')
const agents = answers.pageAnswer(answers.agentAnswer, 'AgentPage')

const limits = {
  maxCost: { amount: 500, currency: 'usd', period: 'month' },
  maxAgents: 3,
  maxComputeMinutes: 60,
}

/** Every path of the API in OpenAPI's notation. A test compares them with the routes. */
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
      summary: "Get the user's session; create it if it does not exist",
      answer: answers.sessionAnswer,
      path: z.object({ userId: z.string().min(1).max(256).meta({ example: 'user_123' }) }),
      body: requests.sessionForUserBody,
      example: { limits, metadata: { plan: 'pro' } },
      isBodyOptional: true,
    }),
  },
  '/sessions/{id}': {
    get: operation({ id: 'getSession', summary: 'Get a session', answer: answers.sessionAnswer, path: ids.session }),
    patch: operation({
      id: 'updateSession',
      summary: 'Change limits and metadata: values are merged, null removes',
      answer: answers.sessionAnswer,
      path: ids.session,
      body: requests.updateSessionBody,
      example: { limits: { maxAgents: 5 }, metadata: { plan: null } },
    }),
  },
  '/sessions/{id}/terminate': {
    post: post({
      id: 'terminateSession',
      summary: 'Terminate a session and all its agents',
      answer: answers.okAnswer,
      path: ids.session,
    }),
  },
  '/sessions/{id}/agents': {
    post: post({
      id: 'createAgent',
      summary: 'Create an agent; 200 returns the existing agent with the name',
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
      summary: 'Get the total usage of a session, in the format of the official TypeScript SDK',
      answer: answers.sessionUsageAnswer,
      path: ids.session,
    }),
  },
  '/agents/{id}': {
    get: operation({
      id: 'getAgent',
      summary: 'Get an agent, with its latest task',
      answer: answers.agentAnswer,
      path: ids.agent,
    }),
  },
  '/agents/{id}/status': {
    get: operation({
      id: 'getAgentStatus',
      summary: 'Get the status of an agent, in the format of the official TypeScript SDK',
      answer: answers.agentStatusAnswer,
      path: ids.agent,
    }),
  },
  '/agents/{id}/files': {
    get: operation({
      id: 'listFiles',
      summary: 'List a folder of the agent, in the format of the official TypeScript SDK',
      answer: answers.fileListAnswer,
      path: ids.agent,
      query: requests.listFilesQuery,
    }),
    post: post({
      id: 'writeFile',
      summary: 'Write a whole file, in the format of the official TypeScript SDK',
      answer: answers.okAnswer,
      path: ids.agent,
      body: requests.writeFileBody,
      example: { path: 'notes.txt', data: 'Some text.', encoding: 'utf-8' },
    }),
  },
  '/agents/{id}/files/{path}': {
    get: operation({
      id: 'readFile',
      summary: 'Read a whole file, in the format of the official TypeScript SDK',
      answer: answers.fileContentAnswer,
      path: file,
    }),
  },
  '/agents/{id}/exec': {
    post: post({
      id: 'exec',
      summary: 'Run code in the sandbox: wait for the result, or stream the output',
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
      summary: 'Give the agent a task, which runs in the background',
      status: 202,
      answer: answers.runAnswer,
      path: ids.agent,
      body: runBody,
      example: { task: 'Plot the first 20 primes.' },
    }),
  },
  '/agents/{id}/stream': {
    get: operation({
      id: 'streamAgentEvents',
      summary: "Stream the agent's events as server-sent events",
      answer: agentEvent,
      events: agentEvent,
      path: ids.agent,
      query: requests.streamQuery,
      header: z.object({ 'last-event-id': requests.eventId.optional() }),
    }),
  },
  '/agents/{id}/tasks/{taskId}': {
    get: operation({ id: 'getTask', summary: 'Get a task', answer: answers.taskAnswer, path: task }),
  },
  '/agents/{id}/tasks/{taskId}/cancel': {
    post: post({ id: 'cancelTask', summary: 'Cancel a task', answer: answers.okAnswer, path: task }),
  },
  '/agents/{id}/pause': {
    post: post({ id: 'pauseAgent', summary: 'Pause an agent', answer: answers.agentAnswer, path: ids.agent }),
  },
  '/agents/{id}/resume': {
    post: post({
      id: 'resumeAgent',
      summary: 'Resume an agent, and answer the tool call that waits for an approval',
      answer: answers.agentAnswer,
      path: ids.agent,
      body: resumeBody,
      example: {},
    }),
  },
  '/agents/{id}/terminate': {
    post: post({
      id: 'terminateAgent',
      summary: 'Terminate an agent and delete its files',
      answer: answers.okAnswer,
      path: ids.agent,
    }),
  },
  '/usage/summary': {
    get: operation({
      id: 'getUsageSummary',
      summary: 'Get usage and its cost',
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

/** Adds the tag that groups the operations on the documentation page. */
function tagged(path: string, operations: ZodOpenApiPathItemObject): ZodOpenApiPathItemObject {
  const tag = path.startsWith('/usage') ? 'Usage' : path.includes('agents') ? 'Agents' : 'Sessions'
  return Object.fromEntries(
    Object.entries(operations).map(([method, operation]) => [method, { ...operation, tags: [tag] }]),
  )
}
