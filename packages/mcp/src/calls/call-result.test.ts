import type { ToolImage } from '@theazo/core/tools'
import { describe, expect, test } from 'vitest'
import { jsonBytes } from './bounded-content.ts'
import { toCallResult } from './call-result.ts'

const image = (path: string, sizeBytes: number): ToolImage => {
  return { path, mediaType: 'image/png', base64: Buffer.alloc(sizeBytes).toString('base64'), width: 1, height: 1 }
}
const success = (text: string, images: ToolImage[], data: object) => ({ isError: false as const, text, images, data })

describe('images', () => {
  test('images that fit are sent in their order', () => {
    const images = [image('/a.png', 300_000), image('/b.png', 10), image('/c.png', 300_000)]
    const { content } = toCallResult(success('text', images, { images }), 'agt_1')
    expect(content.map(({ type }) => type)).toEqual(['text', 'image', 'image', 'image'])
  })

  test('the largest images are linked until the result fits, each with its exact size and a line in the text', () => {
    const images = [image('/a.png', 400_001), image('/b.png', 500_002), image('/c.png', 300_000)]
    const { content } = toCallResult(success('text', images, { images }), 'agt_1')
    expect(content.map(({ type }) => type)).toEqual(['text', 'image', 'resource_link', 'image'])
    expect(content[2]).toMatchObject({ uri: 'theazo://agents/agt_1/files/b.png', size: 500_002 })
    expect(content[0]).toMatchObject({
      text: expect.stringMatching(/^text\n\[image linked, not shown: \/b.png has 500002 bytes/),
    })
  })

  test('links with the longest paths fit beside the largest content', () => {
    const path = `/${'\u0001'.repeat(4095)}`
    const images = [1, 2, 3, 4].map(() => image(path, 1_000_000))
    const data = { stdout: '\u0001'.repeat(100_000) }
    const result = toCallResult(success('\u0002'.repeat(100_000), images, data), 'agt_1')
    expect(jsonBytes(result)).toBeLessThan(1_000_000)
    expect(result.content.map(({ type }) => type)).toEqual(['text', ...images.map(() => 'resource_link')])
  })
})

describe('content', () => {
  test('content that fits does not change, even if it contains long lists', () => {
    const data = { entries: Array.from({ length: 5000 }, (_, index) => ({ name: String(index) })) }
    expect(toCallResult(success('text', [], data), 'agt_1').structuredContent).toEqual(data)
  })

  test('lists are cut before strings, and a flag marks the cut', () => {
    const stdout = '\u0001'.repeat(30_000)
    const files = Array.from({ length: 100 }, (_, index) => ({
      path: `/${'\u0001'.repeat(4000)}${index}`,
      sizeBytes: 1,
    }))
    const { structuredContent } = toCallResult(success(stdout, [], { exitCode: 0, stdout, files }), 'agt_1')
    expect(structuredContent).toMatchObject({ exitCode: 0, stdout, filesTruncated: true })
    const shown = structuredContent?.['files'] as typeof files
    expect(shown.length).toBeGreaterThan(0)
    expect(shown).toEqual(files.slice(0, shown.length))
  })

  test('strings are cut if there is nothing else to cut', () => {
    const output = '\u0001'.repeat(500_000)
    const result = toCallResult(success(`head${output}tail`, [], { agentId: 'agt_1', output }), 'agt_1')
    expect(jsonBytes(result)).toBeLessThan(1_000_000)
    expect(result.structuredContent).toMatchObject({ agentId: 'agt_1', outputTruncated: true })
    expect(result.content[0]).toMatchObject({ text: expect.stringMatching(/^head.*characters cut.*tail$/s) })
  })

  test('data that cannot be cut becomes an error that contains the text', () => {
    const data = Object.fromEntries(Array.from({ length: 60_000 }, (_, index) => [`field${index}`, index]))
    const result = toCallResult(success('the answer', [], data), 'agt_1')
    expect(result).toMatchObject({
      isError: true,
      content: [{ text: expect.stringMatching(/^the answer\n\[.*too large/) }],
    })
  })
})
