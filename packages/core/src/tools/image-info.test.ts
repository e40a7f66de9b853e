import { expect, test } from 'vitest'
import { imageInfo } from './image-info.ts'
import { hasAllPixels } from './png-pixels.ts'

/** Images of 3 by 2 pixels, written by Pillow. */
const samples = {
  png: 'iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFNAAAAFUlEQVR4nGM8IWfDwMDAwMDAxAADABUsASY0+3CFAAAAAElFTkSuQmCC',
  jpeg: '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAFA3PEY8MlBGQUZaVVBfeMiCeG5uePWvuZHI////////////////////////////////////////////////////2wBDAVVaWnhpeOuCguv/////////////////////////////////////////////////////////////////////////wAARCAACAAMDASIAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAECAxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk5ebn6Onq8vP09fb3+Pn6/9oADAMBAAIRAxEAPwCOiiikdB//2Q==',
  gif: 'R0lGODdhAwACAIEAAMgePAAAAAAAAAAAACwAAAAAAwACAAAIBgABCBwYEAA7',
  webpLossy: 'UklGRi4AAABXRUJQVlA4ICIAAABwAQCdASoDAAIAB0CWJaACdAF1AAD+4cC9t/hz4s/U9sAA',
  webpLossless: 'UklGRh4AAABXRUJQVlA4TBEAAAAvAkAAAAdQjyKXp/+BiOh/AAA=',
  webpAlpha: 'UklGRkYAAABXRUJQVlA4WAoAAAAQAAAAAgAAAQAAQUxQSAcAAAAAZGRkZGRkAFZQOCAYAAAAMAEAnQEqAwACAAdAliWkAANwAP7vlkAA',
}
const animated = {
  gif: 'R0lGODdhAwACAIEAAMgePAAAAAAAAAAAACwAAAAAAwACAAAIBgABCBwYEAAsAAAAAAMAAgCBAAAAAAAAAAAAAAAACAYAAQgcGBAALAAAAAADAAIAgf///wAAAAAAAAAAAAgGAAEIHBgQADs=',
  webp: 'UklGRqgAAABXRUJQVlA4WAoAAAACAAAAAgAAAQAAQU5JTQYAAAAAAAAAAABBTk1GRAAAAAAAAAAAAAIAAAEAAAAAAAJWUDggLAAAADABAJ0BKgMAAgABQCYloAADcAD+8Por/w7ubr1rf//eM//+4z//7jP/dwAAQU5NRjAAAAAAAAAAAAACAAABAAAAAAAAVlA4IBgAAAA0AQCdASoDAAIAAAAmJaQAA3AA/v02aAA=',
}
const bytes = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, 'base64'))

test.each(Object.entries(samples))('%s: the size is read, and the image is complete', (_kind, base64) => {
  expect(imageInfo(bytes(base64))).toMatchObject({ width: 3, height: 2, isWhole: true, isAnimated: false })
})

test.each(Object.entries(samples))('%s: a cut file is not complete, and does not throw', (_kind, base64) => {
  const whole = bytes(base64)
  for (let length = 0; length < whole.length; length += 1) {
    expect([length, imageInfo(whole.subarray(0, length))?.isWhole ?? false]).toEqual([length, false])
  }
})

test.each(Object.entries(animated))('%s: an animation is recognised', (_kind, base64) => {
  expect(imageInfo(bytes(base64))).toMatchObject({ width: 3, height: 2, isWhole: true, isAnimated: true })
})

test('a PNG with a damaged chunk is not complete', () => {
  const png = bytes(samples.png)
  for (const at of [20, 45, png.length - 6]) {
    const damaged = png.slice()
    damaged[at] = (damaged[at] ?? 0) ^ 1
    expect([at, imageInfo(damaged)?.isWhole]).toEqual([at, false])
  }
})

test('an image without any frame data is not complete', () => {
  const gif = Buffer.from('GIF89a\x01\0\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\0;', 'latin1')
  expect(imageInfo(gif)?.isWhole).toBe(false)
  const webp = Buffer.from('RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x02\0\0\x01\0\0', 'latin1')
  expect(imageInfo(webp)).toMatchObject({ width: 3, height: 2, isWhole: false })
  const noSize = bytes(samples.webpLossy)
  noSize.fill(0, 4, 8)
  expect(imageInfo(noSize)?.isWhole).toBe(false)
  const jpeg = bytes(samples.jpeg)
  const scan = jpeg.lastIndexOf(0xda)
  const empty = new Uint8Array([...jpeg.subarray(0, scan + 13), 0xff, 0xd9])
  expect(imageInfo(empty)?.isWhole).toBe(false)
})

test('a PNG does not have all pixels if its data does not unpack, or unpacks to a wrong size', async () => {
  const { deflateSync, crc32 } = await import('node:zlib')
  const chunk = (type: string, data: Uint8Array): Buffer => {
    const body = Buffer.concat([Buffer.from(type), data])
    const [length, crc] = [Buffer.alloc(4), Buffer.alloc(4)]
    length.writeUInt32BE(data.length)
    crc.writeUInt32BE(crc32(body))
    return Buffer.concat([length, body, crc])
  }
  const pngOf = (idat: Uint8Array, interlace = 0): Buffer => {
    const header = Buffer.from([0, 0, 0, 3, 0, 0, 0, 2, 8, 2, 0, 0, interlace])
    const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')
    return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', idat), chunk('IEND', Buffer.alloc(0))])
  }
  const rows = 2 * (1 + 3 * 3)
  const cases: [Uint8Array, number, boolean][] = [
    [deflateSync(Buffer.alloc(rows)), 0, true],
    [deflateSync(Buffer.alloc(rows - 1)), 0, false],
    [deflateSync(Buffer.alloc(rows + 1)), 0, false],
    [deflateSync(Buffer.alloc(10_000_000)), 0, false],
    [Buffer.from('garbage'), 0, false],
    [Buffer.alloc(0), 0, false],
    [deflateSync(Buffer.alloc(1 + 3 + (1 + 3) + (1 + 3) + (1 + 9))), 1, true],
    [deflateSync(Buffer.alloc(rows)), 1, false],
  ]
  for (const [idat, interlace, isWhole] of cases) {
    const png = pngOf(idat, interlace)
    expect([imageInfo(png)?.isWhole, await hasAllPixels(png)]).toEqual([true, isWhole])
  }
  expect(await hasAllPixels(bytes(samples.png))).toBe(true)
})

test('bytes after the end are ignored, and a view of a larger buffer is read from its own offset', () => {
  for (const base64 of Object.values(samples)) {
    const image = bytes(base64)
    const padded = new Uint8Array(image.length + 20)
    padded.set(image, 10)
    expect(imageInfo(padded.subarray(10))?.isWhole).toBe(true)
  }
})

test.each([
  '',
  'hello',
  '<svg xmlns="http://www.w3.org/2000/svg"/>',
  'BM\0\0',
  '%PDF-1.7',
  '\x89PNG',
  'RIFF\0\0\0\0WAVE',
])('returns undefined for a file that is not an image: %j', (text) =>
  expect(imageInfo(new Uint8Array(Buffer.from(text, 'latin1')))).toBeUndefined(),
)
