import { setTimeout as sleep } from 'node:timers/promises'
import { ApiError } from '../../errors.ts'
import { retryAfterMs } from '../retry-after.ts'
import { plainText } from './plain-text.ts'
import type { FoundPage, SearchBackend } from './search-backends.ts'

/** One page that was found. */
export interface WebSearchResult {
  /** At most 200 characters. */
  title: string
  url: string
  /** At most 500 characters of plain text. */
  snippet: string
  /** As the search service writes it: a date, or an age such as `2 days ago`. */
  published?: string | undefined
}

/** For a whole call, the wait before its second attempt included. */
const timeoutSeconds = 20
/** Longer waits are left to the model. */
const maxWaitSeconds = 10
const maxAnswerBytes = 4 * 1024 * 1024
const [maxTitleChars, maxSnippetChars, maxUrlChars, maxPublishedChars] = [200, 500, 2000, 40]

/** @throws {ApiError} if the service fails; the reason of `signal`. */
export async function searchWith(
  backend: SearchBackend,
  query: string,
  count: number,
  signal: AbortSignal | undefined,
): Promise<WebSearchResult[]> {
  const timeout = AbortSignal.timeout(timeoutSeconds * 1000)
  const ended = signal ? AbortSignal.any([signal, timeout]) : timeout
  try {
    const response = await fetchAnswer(backend, query, count, ended)
    const parsed = backend.answer.safeParse(jsonOf(await textOf(response, backend)))
    if (!parsed.success)
      throw new ApiError('provider_error', `${backend.name} sent an answer that is not its own format.`)
    return parsed.data.flatMap(resultOf).slice(0, count)
  } catch (error) {
    if (signal?.aborted) throw signal.reason
    if (timeout.aborted) throw new ApiError('timeout', `${backend.name} did not answer within ${timeoutSeconds} s.`)
    if (error instanceof ApiError) throw error
    // Without the message: it may quote the request.
    const { code = 'no reason given' } = ((error as Error).cause ?? {}) as { code?: string }
    throw new ApiError('provider_error', `${backend.name} was not reached (${code}).`)
  }
}

/** A successful answer. After a 429 the request is sent once more. */
async function fetchAnswer(
  backend: SearchBackend,
  query: string,
  count: number,
  ended: AbortSignal,
): Promise<Response> {
  const { name, advice } = backend
  for (let isSecond = false; ; isSecond = true) {
    const { url, init } = backend.request(query, count)
    // A redirect could take the key to another host.
    const response = await fetch(url, { ...init, redirect: 'manual', signal: ended })
    if (response.ok) return response
    await response.body?.cancel()
    if (response.status !== 429) {
      const next = advice[response.status]
      throw new ApiError('provider_error', `${name} answered with status ${response.status}.${next ? ` ${next}` : ''}`)
    }
    const seconds = retryAfterSeconds(response.headers)
    if (isSecond || seconds > maxWaitSeconds) {
      throw new ApiError(
        'rate_limited',
        `${name} accepts no further search now. Search again in ${seconds} s or later.`,
      )
    }
    await sleep(seconds * 1000, undefined, { signal: ended })
  }
}

/** Seconds of `Retry-After`, or the first number of Brave's `X-RateLimit-Reset`. */
function retryAfterSeconds(headers: Headers): number {
  const given = headers.get('retry-after') ?? headers.get('x-ratelimit-reset')?.split(',')[0]
  return Math.ceil((retryAfterMs(given) ?? 1000) / 1000)
}

async function textOf({ body }: Response, { name }: SearchBackend): Promise<string> {
  const decoder = new TextDecoder()
  let [text, bytes] = ['', 0]
  for await (const chunk of body ?? []) {
    bytes += chunk.length
    if (bytes > maxAnswerBytes) throw new ApiError('provider_error', `${name} sent an answer of more than 4 MiB.`)
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Empty if the result is not a web page. */
function resultOf({ title, url, snippet, published }: FoundPage): WebSearchResult[] {
  if (!/^https?:\/\//i.test(url) || url.length > maxUrlChars) return []
  return [
    {
      title: plainText(title ?? '', maxTitleChars) || url,
      url,
      snippet: plainText(snippet ?? '', maxSnippetChars),
      ...(published && { published: plainText(published, maxPublishedChars) }),
    },
  ]
}
