import { defineTool, type Tool } from '@theazo/core/tools'
import { z } from 'zod/v4'
import type { OpenSocket } from '../../compute/local/egress/connect.ts'
import type { Lookup } from '../../compute/local/egress/vetted-addresses.ts'
import { anyPublicHost, type HostPattern, patternsOf } from '../../network/host-pattern.ts'
import { bodyNote } from './body-text.ts'
import { maxRedirects, sendWithRedirects } from './send-with-redirects.ts'
import { nameServerLookup } from './name-server-lookup.ts'
import { type HttpRequestInput, maxBodyChars, methods, requestOf } from './request-input.ts'
import { maxShownBytes, timeoutSeconds } from './request-limits.ts'
import { withTextFields } from './text-fields.ts'

/** Data of `http_request`: the last answer, after redirects. */
export interface HttpRequestData {
  /** The address that answered. */
  url: string
  status: number
  /** Lines of `name: value`, cut to 8,000 characters. */
  headers: string
  /** The text of the body, at most 1 MiB of it; undefined if it is binary or there is none. */
  body?: string | undefined
  /** What is missing of the body, and why. */
  note?: string | undefined
}

/** Options of {@link httpRequestTool}. */
export interface HttpRequestToolOptions {
  /** Entries of `network.allow`: the hosts that the agent may reach. Default `['*']`: every public host, ports 80 and 443. */
  allow?: readonly string[] | undefined
  /** The hosts that the operator allows for all agents. Default: every public host. */
  operator?: readonly HostPattern[] | undefined
  /** Returns the addresses of a name. Default: those of the machine's name servers. */
  lookup?: Lookup | undefined
  /** Opens a connection to an address that was checked. Default: TCP. */
  connect?: OpenSocket | undefined
  /** For the whole call, redirects included. Default 30,000. */
  timeoutMs?: number | undefined
}

const input: z.ZodType<HttpRequestInput> = z.object({
  url: z.string().min(1).max(8192).describe('The address, with http:// or https://, at most 8,192 characters.'),
  method: z.enum(methods).optional().describe('Default GET.'),
  headers: z
    .string()
    .min(1)
    .max(16_000)
    .optional()
    .describe('Headers of the request, one on each line: Name: value. At most 50 and 16,000 characters.'),
  body: z
    .string()
    .min(1)
    .max(maxBodyChars)
    .optional()
    .describe('The body of a POST, PUT, PATCH or DELETE, at most 1,000,000 characters. JSON needs no Content-Type.'),
})

const output: z.ZodType<HttpRequestData> = z
  .object({
    url: z.string(),
    status: z.number().int(),
    headers: z.string(),
    body: z.string().optional(),
    note: z.string().optional(),
  })
  .passthrough()

/**
 * Makes the tool `http_request`, which sends one HTTP request from the server, outside of the sandbox.
 *
 * It reaches public addresses only. Each name is resolved once, all of its addresses are checked, and the connection goes to
 * one of these. Redirects, at most 5, are checked in the same way. A call takes 30 s at the longest, and reads 1 MiB of text.
 * A call throws an {@link ApiError} if the request is refused or fails: `forbidden`, `timeout` or `provider_error`.
 */
export function httpRequestTool(
  options: HttpRequestToolOptions = {},
): Tool<'http_request', HttpRequestInput, HttpRequestData> {
  const { allow = ['*'], operator = [anyPublicHost], lookup = nameServerLookup(), connect, timeoutMs } = options
  const route = { rules: { allow: patternsOf(allow), operator }, lookup, open: connect }
  const tool = defineTool({
    name: 'http_request',
    title: 'HTTP request',
    description:
      'Send an HTTP request and get the status, the headers and the text of the answer. It is sent by the server, not from ' +
      'the sandbox: it reaches public internet hosts only, and never the sandbox itself. ' +
      `It follows up to ${maxRedirects} redirects and ends after ${timeoutSeconds} s. Text is returned up to 1 MiB; binary content is only described.`,
    input,
    output,
    hints: { readOnly: false, destructive: true, idempotent: false, openWorld: true },
    async run(given, { signal }) {
      const { response, url } = await sendWithRedirects(requestOf(given), { route, timeoutMs, signal })
      const { status, headers, body } = response
      return { url: url.href, status, headers, body: body.text, note: bodyNote(body, maxShownBytes) }
    },
    toText({ url, status, headers, body = '', note }) {
      const head = `HTTP ${status} from ${url}\n${headers}`
      return [head, ...(note === undefined ? [] : [`[${note}]`]), ...(body === '' ? [] : ['', body])].join('\n')
    },
  })
  return { ...tool, run: (given, call) => tool.run(withTextFields(given), call) }
}
