// A local server speaks the protocol of each search service, in the shapes of their references.
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ToolCallOptions } from '@theazo/core/tools'
import { afterEach, describe, expect, test } from 'vitest'
import { type WebSearchInput, type WebSearchOptions, webSearchTool } from './web-search.ts'

const key = 'key-0123456789'

let server: Server | undefined
afterEach(() => {
  server?.closeAllConnections()
  server?.close()
  server = undefined
})

interface ReceivedRequest {
  method: string | undefined
  url: URL
  headers: IncomingHttpHeaders
  body: string
}

async function service(answer: RequestListener) {
  const requests: ReceivedRequest[] = []
  const own = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const { method, headers } = request
    requests.push({ method, url: new URL(request.url ?? '', 'http://service'), headers, body })
    answer(request, response)
  })
  await once(own.listen(0, '127.0.0.1'), 'listening')
  server = own
  return { requests, url: `http://127.0.0.1:${(own.address() as AddressInfo).port}` }
}

const json =
  (body: object, status = 200, headers: Record<string, string> = {}): RequestListener =>
  (_request, response) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))

async function search(
  options: WebSearchOptions,
  input: WebSearchInput = { query: 'theazo sandbox' },
  signal?: AbortSignal,
) {
  const tool = webSearchTool(options) ?? expect.fail('no tool')
  const result = await tool.run(input, { sandbox: {}, ...(signal && { signal }) } as ToolCallOptions)
  return result.isError ? expect.fail(result.text) : result
}

/** `code: message` of the error, which must not contain the key. */
async function errorOf(options: WebSearchOptions): Promise<string> {
  return await search(options).then(
    () => 'no error',
    (error: Error & { code: string }) => {
      expect(JSON.stringify([error, error.message, error.stack, error.cause])).not.toContain(key)
      return `${error.code}: ${error.message}`
    },
  )
}

const braveAnswer = {
  type: 'search',
  query: { original: 'theazo sandbox', more_results_available: true },
  web: {
    type: 'search',
    results: [
      {
        type: 'search_result',
        title: 'Sandboxes &amp; agents',
        url: 'https://example.org/a',
        description: 'Runs <strong>code</strong> in a&#x27;s sandbox',
        page_age: '2026-01-02T00:00:00',
        age: 'January 2, 2026',
        language: 'en',
        meta_url: { hostname: 'example.org' },
      },
      { type: 'search_result', title: 'B', url: 'https://example.org/b', description: 'Second', language: 'en' },
    ],
  },
}
const tavilyAnswer = {
  query: 'theazo sandbox',
  follow_up_questions: null,
  answer: null,
  images: [],
  results: [
    {
      title: 'Sandboxes & agents',
      url: 'https://example.org/a',
      content: "Runs code in a's sandbox",
      score: 0.9,
      raw_content: null,
      published_date: 'January 2, 2026',
    },
    { title: 'B', url: 'https://example.org/b', content: 'Second', score: 0.5, raw_content: null },
  ],
  response_time: 1.2,
  request_id: '1',
}
const searxngAnswer = {
  query: 'theazo sandbox',
  number_of_results: 0,
  results: [
    {
      template: 'default.html',
      title: 'Sandboxes & agents',
      url: 'https://example.org/a',
      content: "Runs code in a's sandbox",
      publishedDate: 'January 2, 2026',
      engine: 'bing',
      engines: ['bing'],
      score: 4,
    },
    { title: 'B', url: 'https://example.org/b', content: 'Second', publishedDate: null, engine: 'bing' },
  ],
  answers: [],
  corrections: [],
  infoboxes: [],
  suggestions: [],
  unresponsive_engines: [['google', 'CAPTCHA']],
}

/** Each service with the environment that configures it. */
const services: [name: string, answer: object, options: (url: string) => WebSearchOptions][] = [
  ['Brave Search', braveAnswer, (url) => ({ braveApiKey: key, braveBaseUrl: url })],
  ['Tavily', tavilyAnswer, (url) => ({ tavilyApiKey: key, tavilyBaseUrl: url })],
  ['SearXNG', searxngAnswer, (url) => ({ searxngUrl: url.replace('//', `//user:${key}@`) })],
]

describe.each(services)('%s', (name, answer, envOf) => {
  test('gives the pages that it found', async () => {
    const { url } = await service(json(answer))
    const { data, text } = await search(envOf(url))
    expect(data.results).toEqual([
      {
        title: 'Sandboxes & agents',
        url: 'https://example.org/a',
        snippet: "Runs code in a's sandbox",
        published: 'January 2, 2026',
      },
      { title: 'B', url: 'https://example.org/b', snippet: 'Second' },
    ])
    expect(text).toBe(
      "1. Sandboxes & agents\n   https://example.org/a\n   January 2, 2026\n   Runs code in a's sandbox\n\n" +
        '2. B\n   https://example.org/b\n   Second',
    )
  })

  test('gives at most as many as were asked for', async () => {
    const { url } = await service(json(answer))
    expect((await search(envOf(url), { query: 'a', count: 1 })).data.results).toHaveLength(1)
  })

  test('is asked once more after a 429, when its Retry-After is over', async () => {
    const { url, requests } = await service((request, response) => {
      const isFirst = requests.length === 1
      const refusal = { error: `the key ${key} is used too often` }
      return isFirst ? json(refusal, 429, { 'retry-after': '1' })(request, response) : json(answer)(request, response)
    })
    expect((await search(envOf(url))).data.results).toHaveLength(2)
    expect(requests).toHaveLength(2)
  })

  test('that refuses again, or for long, is an error that names the time', async () => {
    const again = await service(json({ error: key }, 429, { 'retry-after': '0' }))
    expect(await errorOf(envOf(again.url))).toBe(
      `rate_limited: ${name} accepts no further search now. Search again in 0 s or later.`,
    )
    expect(again.requests).toHaveLength(2)
    server?.close()
    const long = await service(json({ error: key }, 429, { 'retry-after': '3600' }))
    expect(await errorOf(envOf(long.url))).toContain('Search again in 3600 s or later.')
    expect(long.requests).toHaveLength(1)
  })

  test.each([400, 401, 403, 500, 302])('that answers with status %i is an error without the key', async (status) => {
    const { url, requests } = await service(json({ detail: key }, status, { location: 'http://127.0.0.1:9/' }))
    expect(await errorOf(envOf(url))).toContain(`provider_error: ${name} answered with status ${status}.`)
    expect(requests).toHaveLength(1)
  })

  test.each<[string, RequestListener]>([
    ['no JSON', (_request, response) => response.end('<html>')],
    ['another form', json({ results: 'none', web: [] })],
  ])('that answers with %s is an error', async (_what, listener) => {
    const { url } = await service(listener)
    expect(await errorOf(envOf(url))).toBe(`provider_error: ${name} sent an answer that is not its own format.`)
  })

  test('that answers without end is an error', async () => {
    const endless: RequestListener = (_request, response) => {
      const chunk = Buffer.alloc(65_536, ' ')
      const more = (): void => {
        while (!response.destroyed && response.write(chunk)) continue
      }
      response.on('drain', more)
      more()
    }
    const { url } = await service(endless)
    expect(await errorOf(envOf(url))).toBe(`provider_error: ${name} sent an answer of more than 4 MiB.`)
  })

  test('that cannot be reached is an error that does not name its address', async () => {
    const { url } = await service(json(answer))
    server?.close()
    expect(await errorOf(envOf(url))).toBe(`provider_error: ${name} was not reached (ECONNREFUSED).`)
  })

  test('is left at an abort, also in the wait before the second attempt', async () => {
    for (const listener of [(() => {}) as RequestListener, json({}, 429, { 'retry-after': '9' })]) {
      const { url, requests } = await service(listener)
      const stop = new AbortController()
      const pending = search(envOf(url), { query: 'a' }, stop.signal)
      await expect.poll(() => requests.length).toBe(1)
      stop.abort(new Error('enough'))
      await expect(pending).rejects.toThrow('enough')
      server?.closeAllConnections()
      server?.close()
    }
  })
})

test('Brave Search gets the key and the number of results', async () => {
  const { url, requests } = await service(json(braveAnswer))
  await search({ braveApiKey: key, braveBaseUrl: `${url}/gateway` }, { query: 'a b', count: 3 })
  expect(requests).toMatchObject([{ method: 'GET', headers: { 'x-subscription-token': key } }])
  expect(requests[0]?.url.pathname).toBe('/gateway/res/v1/web/search')
  expect(requests[0]?.url.searchParams.get('q')).toBe('a b')
  expect(requests[0]?.url.searchParams.get('count')).toBe('3')
})

test('Brave Search without a page of the web found nothing', async () => {
  const { url } = await service(json({ type: 'search', query: {} }))
  expect((await search({ braveApiKey: key, braveBaseUrl: url })).text).toBe('Nothing was found.')
})

test('Brave Search tells the wait in its own header', async () => {
  const { url } = await service(json({}, 429, { 'x-ratelimit-reset': '42, 1419704' }))
  const options = { braveApiKey: key, braveBaseUrl: url }
  expect(await errorOf(options)).toContain('Search again in 42 s or later.')
})

test('Tavily gets the key and the number of results', async () => {
  const { url, requests } = await service(json(tavilyAnswer))
  await search({ tavilyApiKey: key, tavilyBaseUrl: url }, { query: 'a b' })
  expect(requests).toMatchObject([{ method: 'POST', headers: { authorization: `Bearer ${key}` } }])
  expect(requests[0]?.url.pathname).toBe('/search')
  expect(JSON.parse(requests[0]?.body ?? '')).toEqual({ query: 'a b', max_results: 8, search_depth: 'basic' })
})

test('SearXNG is asked for JSON, with the credentials of its address', async () => {
  const { url, requests } = await service(json(searxngAnswer))
  await search({ searxngUrl: `${url.replace('//', '//me:p%40%ss%C3%BC@')}/searxng/` }, { query: 'a b' })
  expect(requests[0]?.url.href).toBe('http://service/searxng/search?q=a+b&format=json')
  expect(requests[0]?.headers.authorization).toBe(`Basic ${Buffer.from('me:p@%ssü').toString('base64')}`)
})

test('results are bounded, plain text, and addresses of the web', async () => {
  const results = Array.from({ length: 50 }, (_, index) => ({
    title: `<b>${'t'.repeat(1000)}</b>`,
    url: index === 0 ? 'javascript:alert(1)' : `https://example.org/${index}`,
    content: `a &lt;b&gt; &#8364; &unknown; 1 < 2\n${'s'.repeat(50_000)}`,
  }))
  const { url } = await service(json({ results }))
  const { data, text } = await search({ searxngUrl: url }, { query: 'a', count: 1000 })
  expect(data.results).toHaveLength(20)
  expect(data.results[0]?.url).toBe('https://example.org/1')
  expect(data.results[0]?.title).toHaveLength(200)
  expect(data.results[0]?.snippet).toMatch(/^a <b> € &unknown; 1 < 2 s+…$/)
  expect(data.results[0]?.snippet).toHaveLength(500)
  expect(text.length).toBeLessThan(20_000)
})

describe('the configuration', () => {
  const nowhere = 'http://127.0.0.1:1'
  const all = {
    braveApiKey: key,
    braveBaseUrl: nowhere,
    tavilyApiKey: key,
    tavilyBaseUrl: nowhere,
    searxngUrl: nowhere,
  }

  test.each([
    [all, 'Brave Search'],
    [{ ...all, braveApiKey: '' }, 'Tavily'],
    [{ searxngUrl: nowhere }, 'SearXNG'],
  ])('selects the first service that has a key or an address: %#', async (options, name) => {
    const tool = webSearchTool(options) ?? expect.fail('there is no tool')
    const call = tool.run({ query: 'x' }, { sandbox: { id: 'agt_1', exec: () => expect.fail('not used') } })
    await expect(call).rejects.toMatchObject({ code: 'provider_error', message: expect.stringContaining(name) })
  })

  test('without a service there is no tool', () => {
    expect(webSearchTool({})).toBeUndefined()
  })

  test('with an invalid address is an error that does not quote it', () => {
    const address = () => webSearchTool({ searxngUrl: `ftp://u:${key}@host` })
    expect(address).toThrow('SEARXNG_URL is not an address: write it with http:// or https://.')
    expect(address).not.toThrow(key)
  })
})
