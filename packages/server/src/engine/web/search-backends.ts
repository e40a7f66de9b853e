import { z } from 'zod/v4'
import { SetupError } from '../../errors.ts'

/** A search service, as one request and the reading of its answer. */
export interface SearchBackend {
  name: string
  /** What an operator should check after this status; undefined if nothing is known. */
  advice: Readonly<Record<number, string>>
  request(query: string, count: number): { url: URL; init: Omit<RequestInit, 'signal'> }
  /** The fields of an answer. It may have further ones. */
  answer: z.ZodType<FoundPage[]>
}

/** One result as the service sends it: fields may contain HTML. */
export interface FoundPage {
  title?: string | null | undefined
  url: string
  snippet?: string | null | undefined
  published?: string | null | undefined
}

const optionalText = z.string().nullish()

const refused = 'The key was refused; only the operator of this server can fix that.'

/** https://api-dashboard.search.brave.com/app/documentation/web-search */
export function brave(key: string, baseUrl = 'https://api.search.brave.com'): SearchBackend {
  const endpoint = endpointOf(baseUrl, 'res/v1/web/search', 'BRAVE_SEARCH_BASE_URL')
  const page = z
    .object({ title: optionalText, url: z.string(), description: optionalText, age: optionalText })
    .transform(({ description, age, ...rest }) => ({ ...rest, snippet: description, published: age }))
  return {
    name: 'Brave Search',
    advice: { 401: refused, 403: refused, 422: 'The query is too long, or the key was refused.' },
    request(query, count) {
      const parameters = { q: query, count: String(count), result_filter: 'web', text_decorations: 'false' }
      const headers = { accept: 'application/json', 'x-subscription-token': key }
      return { url: withQuery(endpoint, parameters), init: { headers } }
    },
    // Without a result of the web, `web` is missing.
    answer: z
      .object({ web: z.object({ results: z.array(page) }).nullish() })
      .transform(({ web }) => web?.results ?? []),
  }
}

/** https://docs.tavily.com/documentation/api-reference/endpoint/search */
export function tavily(key: string, baseUrl = 'https://api.tavily.com'): SearchBackend {
  const endpoint = endpointOf(baseUrl, 'search', 'TAVILY_BASE_URL')
  const page = z
    .object({ title: optionalText, url: z.string(), content: optionalText, published_date: optionalText })
    .transform(({ content, published_date, ...rest }) => ({ ...rest, snippet: content, published: published_date }))
  return {
    name: 'Tavily',
    advice: {
      401: refused,
      403: refused,
      432: 'The plan of the key is used up.',
      433: 'The plan of the key is used up.',
    },
    request(query, count) {
      const body = JSON.stringify({ query, max_results: count, search_depth: 'basic' })
      const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
      return { url: endpoint, init: { method: 'POST', headers, body } }
    },
    answer: z.object({ results: z.array(page) }).transform(({ results }) => results),
  }
}

/** https://docs.searxng.org/dev/search_api.html */
export function searxng(baseUrl: string): SearchBackend {
  const endpoint = endpointOf(baseUrl, 'search', 'SEARXNG_URL')
  const { username, password } = endpoint
  // fetch accepts no address with credentials.
  const credentials = Buffer.from(`${decoded(username)}:${decoded(password)}`).toString('base64')
  const authorization: Record<string, string> = username === '' ? {} : { authorization: `Basic ${credentials}` }
  endpoint.username = ''
  endpoint.password = ''
  const page = z
    .object({ title: optionalText, url: z.string(), content: optionalText, publishedDate: optionalText })
    .transform(({ content, publishedDate, ...rest }) => ({ ...rest, snippet: content, published: publishedDate }))
  return {
    name: 'SearXNG',
    advice: { 403: 'Its settings must list json among search.formats.' },
    request(query) {
      const headers = { accept: 'application/json', ...authorization }
      return { url: withQuery(endpoint, { q: query, format: 'json' }), init: { headers } }
    },
    answer: z.object({ results: z.array(page) }).transform(({ results }) => results),
  }
}

/** @throws {SetupError} that does not quote the address, which may contain a password. */
function endpointOf(baseUrl: string, path: string, variable: string): URL {
  const url = URL.parse(baseUrl.endsWith('/') ? baseUrl : `${baseUrl}/`)
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new SetupError(`${variable} is not an address: write it with http:// or https://.`)
  }
  return new URL(path, url)
}

/** A `%` that encodes nothing stands for itself. */
function decoded(text: string): string {
  return text.replaceAll(/(?:%[\da-f]{2})+/gi, (encoded) => Buffer.from(encoded.replaceAll('%', ''), 'hex').toString())
}

function withQuery(endpoint: URL, parameters: Record<string, string>): URL {
  const url = new URL(endpoint)
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  return url
}
