import { z } from 'zod'
import {
  createDocument,
  type ZodOpenApiOperationObject,
  type ZodOpenApiPathItemObject,
  type ZodOpenApiPathsObject,
} from 'zod-openapi'
import * as answers from './answer-schemas.ts'
import * as requests from './schemas.ts'

const ids = {
  session: z.object({ id: z.string().meta({ example: 'ses_01HX3K2M4N5P6Q7R8S9T0V1W2X' }) }),
  agent: z.object({ id: z.string().meta({ example: 'agt_01HX3K2M4N5P6Q7R8S9T0V1W2X' }) }),
}
const task = ids.agent.extend({ taskId: z.string() })

/** What every POST takes beside its body. */
const keyed = z.object({
  'idempotency-key': z.string().max(255).optional().meta({
    description: 'The same key with the same request is done once, and answered the same for 24 hours.',
  }),
})

const sessions = answers.pageAnswer(answers.sessionAnswer, 'SessionPage')
const agents = answers.pageAnswer(answers.agentAnswer, 'AgentPage')

/** Every path of the API, by its own name for itself; a test holds it against the routes. */
const paths: ZodOpenApiPathsObject = {
  '/sessions': {
    post: post('Create a session', 201, answers.sessionAnswer, { body: requests.createSessionBody }),
    get: get('List sessions, newest first', sessions, { query: requests.listSessionsQuery }),
  },
  '/sessions/by-user/{userId}': {
    post: post("The user's session; made where there is none", 200, answers.sessionAnswer, {
      path: z.object({ userId: z.string().min(1).max(256) }),
      body: requests.sessionForUserBody,
      isBodyOptional: true,
    }),
  },
  '/sessions/{id}': {
    get: get('A session', answers.sessionAnswer, { path: ids.session }),
    patch: operation('Change limits and metadata: merged, null removes', 200, answers.sessionAnswer, {
      path: ids.session,
      body: requests.updateSessionBody,
    }),
  },
  '/sessions/{id}/terminate': {
    post: post('End a session with all its agents', 200, answers.okAnswer, { path: ids.session }),
  },
  '/sessions/{id}/agents': {
    post: post('Create an agent; 200 answers the one that has the name', 201, answers.agentAnswer, {
      path: ids.session,
      body: requests.createAgentBody,
      isBodyOptional: true,
      alsoStatus: 200,
    }),
    get: get('List the agents of a session, newest first', agents, {
      path: ids.session,
      query: requests.listAgentsQuery,
    }),
  },
  '/agents/{id}': { get: get('An agent, with its latest task', answers.agentAnswer, { path: ids.agent }) },
  '/agents/{id}/status': {
    get: get('How an agent does, as the official TypeScript SDK reads it', answers.agentStatusAnswer, {
      path: ids.agent,
    }),
  },
  '/agents/{id}/exec': {
    post: withStream(
      post('Run code in the sandbox and wait for its end, or read its output as it comes', 200, answers.execAnswer, {
        path: ids.agent,
        body: requests.execBody,
      }),
    ),
  },
  '/agents/{id}/run': {
    post: post('Give the agent a task; it goes on in the background', 202, answers.runAnswer, {
      path: ids.agent,
      body: requests.runBody,
    }),
  },
  '/agents/{id}/stream': {
    get: {
      ...get('What the agent does, as server-sent events', answers.errorAnswer, { path: ids.agent }),
      requestParams: {
        path: ids.agent,
        query: requests.streamQuery,
        header: z.object({ 'last-event-id': z.string().optional() }),
      },
      responses: { '200': { description: 'The stream', content: { 'text/event-stream': {} } }, ...failures() },
    },
  },
  '/agents/{id}/tasks/{taskId}': { get: get('A task', answers.taskAnswer, { path: task }) },
  '/agents/{id}/tasks/{taskId}/cancel': { post: post('End a task', 200, answers.okAnswer, { path: task }) },
  '/agents/{id}/pause': { post: post('Suspend an agent', 200, answers.agentAnswer, { path: ids.agent }) },
  '/agents/{id}/resume': { post: post('Let it go on', 200, answers.agentAnswer, { path: ids.agent }) },
  '/agents/{id}/terminate': {
    post: post('End an agent; its files are gone', 200, answers.okAnswer, { path: ids.agent }),
  },
  '/usage/summary': {
    get: get('What was used, and what it costs', answers.usageAnswer, { query: requests.usageQuery }),
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

/** What `Accept: text/event-stream` gets. */
function withStream(operation: ZodOpenApiOperationObject): ZodOpenApiOperationObject {
  const answered = operation.responses['200']
  if (!answered || '$ref' in answered) throw new Error('this operation has no answer of its own')
  const content = { ...answered.content, 'text/event-stream': {} }
  return { ...operation, responses: { ...operation.responses, '200': { ...answered, content } } }
}

interface Parts {
  path?: z.ZodObject
  query?: z.ZodObject
  body?: z.ZodObject
  isBodyOptional?: boolean
  /** Another status with the same answer. */
  alsoStatus?: number
}

function get(summary: string, answer: z.ZodType, parts: Parts): ZodOpenApiOperationObject {
  return operation(summary, 200, answer, parts)
}

function post(summary: string, status: number, answer: z.ZodType, parts: Parts): ZodOpenApiOperationObject {
  const made = operation(summary, status, answer, parts)
  return { ...made, requestParams: { ...made.requestParams, header: keyed } }
}

function operation(summary: string, status: number, answer: z.ZodType, parts: Parts): ZodOpenApiOperationObject {
  const { path, query, body, isBodyOptional = false, alsoStatus } = parts
  const good = { description: summary, content: { 'application/json': { schema: answer } } }
  return {
    summary,
    requestParams: { ...(path && { path }), ...(query && { query }) },
    ...(body && { requestBody: { required: !isBodyOptional, content: { 'application/json': { schema: body } } } }),
    responses: { [status]: good, ...(alsoStatus && { [alsoStatus]: good }), ...failures() },
  }
}

/** Every documented code has the one envelope. */
function failures() {
  return { default: { description: 'An error', content: { 'application/json': { schema: answers.errorAnswer } } } }
}
